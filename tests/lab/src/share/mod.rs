// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab share`: a directory in a guest, for a shell or for one command.
//!
//! ```text
//! args ─▶ config ─▶ parts (fetched, built) ─▶ vm ─▶ mounted and verified ─▶ shell or command
//!            └────▶ dry run: the command lines only                             │
//!                              power-off ◀── its end, a signal, or a process's end
//! ```
//!
//! Standard output and input belong to the guest's command. All messages of this module go to
//! standard error.

mod args;
mod config;
mod disk;
mod dry_run;
mod mount;
mod network;
mod root;
mod run;
mod session;
mod steps;

pub use args::{AccelArg, ShareArgs};
pub use run::run;
