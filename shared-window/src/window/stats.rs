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

/// States each counter once: its field, its name as a metric if a server shows it, and its
/// description.
macro_rules! stats {
    ($($field:ident $(as $name:literal)?: $help:literal;)+) => {
        /// The live numbers.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $(pub(crate) $field: Counter,)+
        }

        /// The numbers of a window at the time of reading. The counters count since the window was
        /// made.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WindowStats {
            /// Mappings that are in effect now.
            pub live: u64,
            /// Ranges for which it is unknown whether the VMM has a mapping.
            pub indeterminate: u64,
            $(#[doc = $help] pub $field: u64,)+
        }

        impl WindowStats {
            /// The counters that a server shows: name as a metric, description, and value.
            pub fn shown(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$($(($name, $help, self.$field),)?)+].into_iter()
            }
        }

        impl Stats {
            /// The counted numbers, and those of `table` now.
            pub(crate) fn snapshot<H>(&self, table: &Table<H>) -> WindowStats {
                WindowStats {
                    live: table.count(RangeState::Live) as u64,
                    indeterminate: table.count(RangeState::Indeterminate) as u64,
                    $($field: self.$field.get(),)+
                }
            }
        }
    };
}

stats! {
    mapped as "window_maps": "Ranges that the VMM mapped";
    unmapped as "window_unmaps": "Ranges that the VMM unmapped";
    repeated as "window_repeats": "SETUPMAPPINGs of a range that had this mapping already";
    upgraded as "window_upgrades": "Repeats that made a mapping writable for the guest";
    replaced as "window_replaced": "Ranges unmapped to make room for another mapping";
    views_opened as "window_views_opened": "Views of files that were opened";
    failed_maps as "vmm_map_failures": "Calls to map that failed in the VMM";
    failed_unmaps as "vmm_unmap_failures": "Calls to unmap that failed in the VMM";
    refused_requests:
        "Requests that were invalid or named a range or file that the guest may not map";
    refused_for_regions: "Requests refused because no memory region was left";
    failed_views: "Requests that failed because no view could be opened";
}
