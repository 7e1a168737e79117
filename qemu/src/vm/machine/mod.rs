// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The QEMU command line of a guest, as typed parts.
//!
//! A [`Machine`] says what the guest is made of; [`Machine::args`] is the only place that knows
//! QEMU's spelling of it. Nothing here touches the host: building a command line opens no file and
//! starts no process, so a dry run and a real run can't differ.
//!
//! Non-goals: being a general QEMU front end. Only what a guest of ours needs is here, and
//! [`Machine::extra`] passes the rest through.

mod command_line;
mod devices;
mod option;
mod size;
mod spec;

pub use command_line::CommandLine;
pub use devices::{NbdDisk, ShareDevice, ShareKind, Tag, TagError};
pub use size::{ByteSize, SizeError};
pub use spec::{Boot, Channel, Console, Machine, OnReset, Pmem};
