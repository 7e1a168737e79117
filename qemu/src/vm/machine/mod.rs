// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The QEMU command line of a guest, as typed parts.
//!
//! A [`Machine`] describes the parts of a guest; only [`Machine::args`] knows QEMU's spelling.
//! Nothing here touches the host: to build a command line opens no file and starts no process, so a
//! dry run and a real run can't differ.
//!
//! Non-goal: a general QEMU front end. Only the needs of this project's guests are here;
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
