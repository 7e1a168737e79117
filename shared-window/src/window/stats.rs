// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the window has done so far, in numbers.
//!
//! Lock-free: counted by whoever works on the window, read by anybody at any time, the control
//! thread included. Each number is right by itself; a snapshot is not one moment.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is counted up, or set.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
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
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            pub(crate) fn snapshot(&self) -> WindowStats {
                WindowStats { $($name: self.$name.get(),)+ }
            }
        }
    };
}

stats! {
    /// Mappings that are in effect now.
    live,
    /// Ranges of which it is unknown now whether the VMM has a mapping.
    indeterminate,
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
