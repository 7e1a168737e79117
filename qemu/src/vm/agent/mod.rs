// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's end of the agent in a guest: mounts, files, commands and power-off as async calls.
//!
//! [`Agent::connect`] takes the socket that QEMU gives for the guest's virtio-serial port, waits
//! until the guest has booted, and returns a handle that can be cloned and used from many tasks. A
//! separate task owns the socket. It never waits for a consumer of its data (see
//! [`guest_agent::wire::flow`]), so a command with an unread stream holds up no other.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use qemu_guest::vm::agent::Agent;
//! use tokio::net::UnixStream;
//!
//! let agent = Agent::connect(UnixStream::connect("agent.sock").await?).await?;
//! agent.mount("share", "/share", "virtiofs", "").await?;
//! let listing = agent.check(["ls", "-l", "/share"]).await?;
//! println!("{}", listing.stdout_text());
//! Ok(agent.power_off().await?)
//! # }
//! ```
//!
//! Dropping the last handle closes the connection, and the guest powers itself off.

mod client;
mod error;
mod link;
mod output;
mod registry;
mod request;
mod running;
mod streams;

pub use client::Agent;
pub use error::{AgentError, LinkError};
pub use output::CommandOutput;
pub use request::ExecRequest;
pub use running::{Control, Running};
pub use streams::{OutputStream, Stdin};

pub use guest_agent::wire::{Boot, Errno, ExitStatus, Failure, FileStat, Signal, TtySize};
