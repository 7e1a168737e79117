// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's side of a case: a guest with a file system of each kind, a disk that answers on
//! request, actors, and the check whether one of them waits.

mod blocks;
mod counters;
mod delayed;
mod disk;
mod held_share;
mod images;
mod lacking;
mod place;
mod rig;
mod server;
mod watch;

pub use blocks::BIG_BLOCKS;
use blocks::NO_BIG_BLOCKS;
pub use counters::Counter;
pub use delayed::{DelayedError, Request, RequestKind, SEED as DISK_SEED};
pub use disk::{Disk, DiskError};
pub use held_share::{HeldShare, HeldShareError, held_file};
pub use images::{ImageError, Images, pmem_image, pmem_image_of};
pub use lacking::Lacking;
pub use place::FileSystem;
pub use qemu_guest::vm::{Done, Pending, Worker, WorkerError};
pub use rig::{FREE, Rig, RigParts};
pub use server::Server;
pub use watch::{BREAK_LAYOUTS, Waiting, Who, sleeping};
