// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The DAX window of a virtio-fs device.
//!
//! A guest maps files of the host into a window of its physical address space with the FUSE
//! requests SETUPMAPPING and REMOVEMAPPING, and from then on loads and stores reach the host's page
//! cache directly. This crate is what a server needs behind these two requests:
//!
//! - [`Window`] checks the guest's numbers, keeps the table of mappings and drives the VMM; it is
//!   also fuse-backend-rs's `FsCacheReqHandler`;
//! - [`Vmm`] is the seam to the owner of the window's memory, with [`VhostUserShmem`] for a VMM
//!   that speaks vhost-user and [`ProcessWindow`] for memory of this process;
//! - [`ViewSource`] is the seam to views of files, which hide a file's size from the VMM, with
//!   [`ViewClient`] for views by FUSE passthrough and [`DirectViews`] for the file itself;
//! - [`MappedFiles`] tells a server that takes pages from a file which other keys have them mapped;
//! - [`RegionBudget`] keeps a virtual machine below the number of memory regions that it can bear.
//!
//! It knows no queues, no virtio device, and no server.
//!
//! ```
//! use std::os::fd::AsFd;
//! use std::os::unix::fs::FileExt;
//! use std::sync::Arc;
//! use shared_window::{
//!     Access, DirectViews, FileOffset, ProcessWindow, RegionBudget, RemoveRange, SetupRange,
//!     Window, WindowOffset, WindowSize,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let size = WindowSize::new(16 << 20)?;
//! let memory = Arc::new(ProcessWindow::new(size)?);
//! let budget = Arc::new(RegionBudget::default());
//! let window = Window::new(size, Arc::clone(&memory), DirectViews, budget);
//!
//! let file = tempfile::tempfile()?;
//! file.set_len(2 << 20)?;
//! window.setup(
//!     file.as_fd(),
//!     SetupRange {
//!         window: WindowOffset(4 << 20),
//!         file: FileOffset(0),
//!         len: 2 << 20,
//!         access: Access::ReadOnly,
//!     },
//! )?;
//! // A store through the window is a store into the file.
//! memory.write(WindowOffset((4 << 20) + 5), b"hello")?;
//! let mut read = [0; 5];
//! file.read_exact_at(&mut read, 5)?;
//! assert_eq!(&read, b"hello");
//!
//! window.remove(&[RemoveRange { window: WindowOffset(4 << 20), len: 2 << 20 }])?;
//! assert!(memory.mapped().is_empty());
//! # Ok(())
//! # }
//! ```

mod budget;
mod live;
mod mapped;
mod table;
mod units;
mod view;
mod vmm;
mod window;

pub use budget::RegionBudget;
pub use live::{LiveRanges, Mapping, Place};
pub use mapped::{Losing, MappedFiles};
pub use table::RangeState;
pub use units::{
    Access, FileOffset, LINUX_RANGE, WindowOffset, WindowRange, WindowSize, WindowSizeError,
    page_size,
};
pub use view::{
    DirectViews, FileId, FileKey, LostPages, LostStores, StartingViews, Unavailable, Unguarded,
    View, ViewClient, ViewError, ViewNumber, ViewServer, ViewServerError, ViewService, ViewSource,
    is_view,
};
pub use vmm::{
    Call, Effect, Moment, ProcessWindow, ProcessWindowError, VhostUserShmem, Vmm, VmmError,
};
pub use window::{
    RemoveRange, Reopen, SetupRange, Upgrade, Window, WindowError, WindowOptions, WindowStats,
};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
