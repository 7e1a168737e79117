// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The protocol that the lab speaks with its agent in a guest, over one virtio-serial port.
//!
//! Both directions are a stream of bytes that begins with a [preamble](Preamble), by which the two
//! ends find out whether they speak the same version, and goes on with length-prefixed
//! [frames](frame), each holding one message: [`ToGuest`] from the host, [`ToHost`] from the guest.
//!
//! ```text
//!   host                                        guest
//!     |  <------------- preamble, Hello ----------  |   the agent speaks first, after its boot
//!     |  -------------- preamble ---------------->  |
//!     |  -------------- Request{id} ------------->  |
//!     |  <------------- Reply{id} ----------------  |   in any order, many at once
//!     |  -------------- Exec{exec} -------------->  |
//!     |  <------------- Started{exec} ------------  |
//!     |  <===== Data, Credit, Eof, both ways ====>  |   one flow-controlled stream each for
//!     |  <------------- Exited{exec} -------------  |   stdin, stdout and stderr
//! ```
//!
//! # Flow control
//!
//! A sender may have at most [`STREAM_WINDOW`] bytes of a stream under way. The receiver returns
//! credit as its consumer takes the bytes. So the reader of the port never has to wait for a
//! consumer: a stream's bytes fit into its buffer, and a stream that is not read stops only itself.
//! [`flow`] has the accounting of both ends.
//!
//! # Non-goals
//!
//! The two ends trust each other and the transport loses nothing; so there is no checksum, and a
//! stream that does not decode is an error for good: there is nothing to synchronise on again.

pub mod exec;
pub mod flow;
pub mod frame;
mod ids;
mod message;
mod preamble;

pub use exec::{Command, ExitStatus, Output, StdinKind, TtySize};
pub use flow::STREAM_WINDOW;
pub use frame::{Decoder, FrameError, MAX_CHUNK, MAX_FRAME};
pub use ids::{Errno, ExecId, Pid, RequestId, Signal};
pub use message::{Boot, Failure, FileStat, LogLevel, Mount, Reply, Request, ToGuest, ToHost};
pub use preamble::{Preamble, Version};

/// The name of the virtio-serial port that the agent looks for in its guest.
pub const PORT_NAME: &str = "daxlab.agent";

/// What every line that the agent itself writes on the guest's console begins with.
pub const CONSOLE_MARK: &str = "daxlab-agent: ";

/// The largest file that [`Request::ReadFile`] and [`Request::WriteFile`] carry.
pub const MAX_FILE: usize = 512 * 1024;
