// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE messages about the window, and about the files in it.

mod guest;

use std::sync::Arc;

use shared_window::{DirectViews, ProcessWindow, RegionBudget, WindowSize, page_size};
use virtiofs_daxd::config::{DaxMode, DaxPolicy};
use virtiofs_daxd::fuzzing::{FuzzedQueue, FuzzedWindow};
use virtiofsd::passthrough::PassthroughFs;

use super::model::plain::PAGES;
use crate::fixture::Fixture;
use crate::guest::fs::Options;
use crate::guest::queue::Queue;

use guest::Guest;

crate::operations! {
    /// The operations of a guest; numbers are pages.
    pub(super) enum Operation {
        /// Looks up a file once more.
        Lookup { file: u8 },
        /// Forgets `count` lookups of a file.
        Forget { file: u8, count: u8 },
        /// Opens a file.
        Open { file: u8 },
        /// Closes the handle that was opened last.
        Release {},
        /// Maps.
        Setup { at: u8, pages: u8, file: u8, from: u8, write: u8 },
        /// Maps a node that the guest does not have.
        SetupUnknown { node: u8, at: u8 },
        /// Unmaps a range, and perhaps one more.
        Remove { at: u8, pages: u8, more_at: u8, more_pages: u8 },
        /// Truncates or extends a file.
        Resize { file: u8, pages: u8 },
        /// Writes a byte through FUSE, at the start of a page.
        Write { page: u8, byte: u8 },
        /// Stores a byte through the window.
        Store { page: u8, byte: u8 },
        /// Mounts again.
        Init {},
        /// Unmounts.
        Destroy {},
        /// Resets the device.
        Reset {},
        /// How many of the machine's memory regions are in use.
        Regions { full: u8 },
    }
}

type Device = FuzzedQueue<PassthroughFs, Arc<ProcessWindow>, DirectViews>;

/// The number of memory regions that the machine supports.
const REGIONS: usize = 1;

/// Plays operations.
pub(super) fn play(fixture: &Fixture, operations: &[Operation]) {
    let size = WindowSize::new(PAGES * page_size()).expect("a power of two");
    let vmm = Arc::new(ProcessWindow::new(size).expect("address space"));
    let budget = Arc::new(RegionBudget::new(REGIONS));
    let window = FuzzedWindow {
        size,
        vmm: Arc::clone(&vmm),
        views: DirectViews,
        budget: Arc::clone(&budget),
        policy: DaxPolicy {
            mode: DaxMode::Always,
            min_size: 0,
        },
    };
    Queue::with(|queue| {
        let fs = Options::DEFAULT.file_system(fixture);
        let device = Device::new(fs, queue.memory().clone(), 256, Some(window));
        queue.start(device.ring());
        let mut guest = Guest::new(fixture, &device, queue, &vmm, &budget);
        let chroot = fixture.enter_chroot();
        guest.init();
        for operation in operations {
            guest.perform(operation);
            guest.compare(operation);
        }
        drop(guest);
        drop(device);
        drop(chroot);
    });
}
