// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's side of a case: a guest with a file system of each kind, a disk that answers when it
//! is told to, actors, and what tells whether one of them waits.

mod actor;
mod blocks;
mod disk;
mod images;
mod place;
mod rig;
mod watch;

pub use actor::{Actor, ActorError, Done, Pending};
pub use blocks::{BIG_BLOCKS, NO_BIG_BLOCKS};
pub use disk::{Disk, DiskError, Request, RequestKind, SEED as DISK_SEED};
pub use images::{ImageError, Images};
pub use place::FileSystem;
pub use rig::{FREE, Rig, RigParts};
pub use watch::{BREAK_LAYOUTS, Waiting};
