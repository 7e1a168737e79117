// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The processes of a running guest: starting them, noticing their end, and ending them.
//!
//! Every process started here is owned by a [`Supervised`] value and can't outlive it: dropping it
//! kills and reaps, the kernel kills it when this process dies, and a private process group keeps
//! the terminal's Ctrl-C away from it. Files and sockets live in a [`RunDir`], which goes with its
//! owner, and with the next run if its owner was killed.
//!
//! ```text
//!   Daemon::start ── socket is there ──▶ Guest::start ── QMP and agent ports connected ──▶ running
//!        ▲                                                                                  │
//!        └── ends by itself when QEMU disconnects ◀── Guest::stop: quit ▸ deadline ▸ kill ◀─┘
//! ```

mod child;
mod daemon;
mod guest;
mod qmp;
mod run_dir;
mod share;
mod tail;
mod wait;

pub use child::{DeathSignal, SpawnError, Supervised};
pub use daemon::{Daemon, DaemonError};
pub use guest::{Ended, Guest, GuestError};
pub use qmp::{Qmp, QmpError};
pub use run_dir::{RunDir, RunDirError};
pub use share::{Cache, Dax, Sandbox, Share};
pub use tail::tail;
