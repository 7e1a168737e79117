// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The ways to take a reference to a DAX page, and to hold it until the lab releases it.
//!
//! | pin | reference | held until |
//! |---|---|---|
//! | [`DirectIo`], [`AioSubmit`], [`UringSubmit`] | FOLL_PIN | the disk's reply, which the host withholds |
//! | [`DirectIo`] on a file of FUSE without DAX | FOLL_PIN (6.1: FOLL_GET) | the reply of its server |
//! | [`Vmsplice`] | FOLL_GET | the pipe is drained |
//! | [`VmspliceMany`] | FOLL_GET, many | the pipes are closed |
//! | [`ZeroCopySend`] | FOLL_GET | the peer reads |
//! | [`CopyFromProcess`] | FOLL_PIN | the copy's end |
//! | [`UringRegister`] | FOLL_PIN, FOLL_LONGTERM | must be refused |

mod aio;
mod copy;
mod direct;
mod fixed;
mod uring;
mod vmsplice;
mod zerocopy;

pub use aio::{AioReap, AioSubmit};
pub use copy::{Copied, CopyFromProcess};
pub use direct::{DirectIo, Transfer};
pub use fixed::UringRegister;
pub use uring::{UringReap, UringSubmit};
pub(crate) use vmsplice::Pipe;
pub use vmsplice::{Drain, SpliceAgain, Vmsplice, VmspliceMany};
pub use zerocopy::{Received, ZeroCopyReceive, ZeroCopySend};
