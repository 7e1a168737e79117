// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The one place where two families of virtio crates meet.
//!
//! The transport (vhost 0.18, vhost-user-backend 0.24) speaks vm-memory 0.18 and virtio-queue
//! 0.18; virtiofsd 1.14's FUSE server reads and writes requests through vm-memory 0.17.1 and
//! virtio-queue 0.17. A request crosses over in three steps:
//!
//! ```text
//!  guest's ring ──pop──▶ ChainBuffers ────────▶ copy ──────────────▶ virtiofsd's
//!  (0.18 queue)          private copy of the    a private 0.17 ring   Reader / Writer
//!                        descriptors            holding that copy
//!                             │                                            ▲
//!  guest memory ──────────────┴─▶ ShadowMemory: 0.17 regions over the same ┘
//!  (0.18 regions)                 host pointers, those of this request
//! ```
//!
//! Invariants:
//! * guest memory is mapped once, by the transport; a region of shadow memory never outlives the transport
//!   region it points into, because its `ShadowMemory` borrows that region's table;
//! * a request owns the table that its descriptors were looked up in, and nothing else keeps one: a
//!   region that has gone from guest memory is unmapped when the last such request is done;
//! * payload bytes are never copied here, only descriptors are, but for buffers that lie in mapped
//!   files (`outside.rs`);
//! * a descriptor is read from the guest once. The daemon uses the values that it has checked,
//!   whatever the guest writes to its ring meanwhile;
//! * avail and used indices belong to the transport's queue alone.
//!
//! Not done here: anything about FUSE, the used ring, or notifications.

mod buffers;
mod chain;
mod chain_copy;
mod data;
mod memory;
mod outside;
mod read_way;

pub use buffers::{ChainBuffers, HeadIndex, PayloadError};
pub use chain::{ChainError, MAX_BUFFERS};
pub use chain_copy::{ChainCopyError, with_reader_and_writer};
pub use data::{DataIn, DataOut};
pub use memory::{AtomicMemory, ShadowMemoryError, TransportBitmap, TransportMemory};
pub use outside::{Fault, FilePiece, Mapped};
pub(crate) use read_way::CACHESTAT;
pub use read_way::ReadWays;

#[cfg(test)]
mod tests;
