// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a [`crate::config::Config`] to a daemon that serves, and to an end that leaves nothing
//! behind.
//!
//! Each stage consumes the one before, so the order can't be broken:
//!
//! ```text
//!  Config ─check─▶ Checked ─fork_companion─▶ WithCompanion ─listen─▶ Listening ─fork_daemon─▶ Supervisor
//!                              │ fork                             │ fork
//!                              ▼                                  ▼
//!                          Companion                          Unconfined ─confine─▶ Confined
//!
//!    supervisor   the process that was started; waits for the others, removes the files,
//!    │            gives the exit code
//!    ├─ companion serves views of files; removes the files if the supervisor is killed
//!    └─ daemon    serves the share
//! ```
//!
//! With `--sandbox=namespace` the daemon is two processes: virtiofsd's sandbox forks. The outer
//! process waits. The inner process serves, and is init of its process namespace.
//!
//! # How each end is noticed
//!
//! | what happens | who acts |
//! |---|---|
//! | the VMM disconnects | the daemon returns, the supervisor sees it exit |
//! | SIGTERM, SIGINT or SIGHUP to any of the processes | its handler writes to one pipe, which the daemon reads (`stop`) |
//! | supervisor killed | the daemon sees the end of the parent-death pipe and stops; the companion sees the end of the liveness pipe and removes the files |
//! | daemon killed | the supervisor sees it exit (outer) or the outer one does (inner) |
//! | outer one killed | virtiofsd has the kernel send SIGTERM to the inner one |
//! | companion killed | the supervisor logs it; the daemon sees the end of a pipe and promises no file any more |
//!
//! # Invariants
//!
//! * Sockets (the VMM's, and that of `--metrics` if it has a path) and their pid files are removed
//!   by the supervisor, which owns them as `owned_file::OwnedFile`. If the supervisor is killed,
//!   the companion removes them (`stale_files`); it starts before they exist. Both remove files
//!   only while they hold the lock on the pid file, so never those of another daemon.
//! * No process has a second thread before the last fork.
//! * Supervisor and companion see no byte from a guest.

mod checks;
mod companion;
mod confine;
mod error;
mod fork;
mod fork_companion;
mod fork_daemon;
mod listen;
mod metrics_socket;
mod mount_points;
mod owned_file;
mod pid_file;
mod run;
mod serve;
mod stale_files;
mod stop;
mod stuck;
mod supervisor;

pub use error::StartError;
pub use run::{ExitStatus, run};
