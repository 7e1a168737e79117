// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's statistics.
//!
//! The operations count; any thread may read at any time, also the control thread. Each number is
//! right by itself; a snapshot is not of one moment.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::{RangeState, Table};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The live numbers.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $(pub(crate) $name: Counter,)+
        }

        /// The numbers of a window at the time of reading.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WindowStats {
            /// Mappings that are in effect now.
            pub live: u64,
            /// Ranges for which it is unknown whether the VMM has a mapping.
            pub indeterminate: u64,
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// The counted numbers, and those of `table` now.
            pub(crate) fn snapshot<H>(&self, table: &Table<H>) -> WindowStats {
                WindowStats {
                    live: table.count(RangeState::Live) as u64,
                    indeterminate: table.count(RangeState::Indeterminate) as u64,
                    $($name: self.$name.get(),)+
                }
            }
        }
    };
}

stats! {
    /// Mappings that the VMM has made.
    mapped,
    /// Requests for a mapping that existed already.
    repeated,
    /// Those of them that asked to write when all earlier ones had asked to read.
    upgraded,
    /// Ranges that were unmapped to make room for a new mapping.
    replaced,
    /// Mappings that were removed.
    unmapped,
    /// Views of files that were opened.
    views_opened,
    /// Requests that were invalid or named a range or file that the guest may not map.
    refused_requests,
    /// Requests refused because no memory region was left.
    refused_for_regions,
    /// Requests that failed because no view could be opened.
    failed_views,
    /// Times that the VMM failed to map.
    failed_maps,
    /// Times that the VMM failed to unmap.
    failed_unmaps,
}
