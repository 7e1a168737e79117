// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the window has done so far, in numbers.
//!
//! Counted by the operations, read at any time by any thread, the control thread included. Each number
//! is right by itself; a snapshot is not one moment.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::{RangeState, Table};

/// A number that is counted up.
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

        /// The numbers of a window, as they were when they were read.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WindowStats {
            /// Mappings that are in effect now.
            pub live: u64,
            /// Ranges of which it is unknown now whether the VMM has a mapping.
            pub indeterminate: u64,
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// What was counted, beside what `table` has now.
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
    /// Mappings that the VMM was asked for and made.
    mapped,
    /// Requests for a mapping that was there already.
    repeated,
    /// Those of them that asked to write where all earlier ones had asked to read.
    upgraded,
    /// Ranges that were unmapped to make room for a new mapping.
    replaced,
    /// Mappings that were removed.
    unmapped,
    /// Views of files that were opened.
    views_opened,
    /// Requests that made no sense or named what the guest may not map.
    refused_requests,
    /// Requests refused for want of a memory region.
    refused_for_regions,
    /// Requests that failed for want of a view.
    failed_views,
    /// Times that the VMM failed to map.
    failed_maps,
    /// Times that the VMM failed to unmap.
    failed_unmaps,
}
