// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a [`crate::config::Config`] to a daemon that serves, and to nothing left behind.
//!
//! Each stage consumes the one before, so that nothing can be done out of order:
//!
//! ```text
//!  Config ─check─▶ Checked ─listen─▶ Listening ─split─▶ three processes
//!
//!    supervisor   waits for both others, removes the files, gives the exit code
//!    ├─ companion   serves views of files; removes the files if the supervisor is killed
//!    └─ daemon      Accompanied ─confine─▶ Confined ─serve─▶ ended
//! ```
//!
//! With `--sandbox=namespace` the daemon is two processes: virtiofsd's sandbox forks, the outer
//! one waits, the inner one, which is init of its process namespace, serves.
//!
//! # How each end is noticed
//!
//! | what happens | who acts |
//! |---|---|
//! | the VMM disconnects | the daemon returns, the supervisor sees it exit |
//! | SIGTERM, SIGINT or SIGHUP to any of the processes | its handler writes to one pipe, which the daemon reads ([`stop`]) |
//! | supervisor killed | the daemon sees the end of the leash pipe and stops; the companion sees the end of the lifeline and removes the files |
//! | daemon killed | the supervisor sees it exit (outer) or the outer one does (inner) |
//! | outer one killed | virtiofsd has the kernel send SIGTERM to the inner one |
//! | companion killed | the supervisor logs it; files without a view get no mapping any more |
//!
//! # Invariants
//!
//! * What was created (socket, pid file) is owned by a [`created::Created`], which removes it when
//!   dropped if it is still the same file. At any time a process holds it that isn't sandboxed.
//! * The lock on the pid file is held until both supervisor and companion are gone, so no second
//!   daemon can have made files of the same names meanwhile.
//! * No process has a second thread before the last fork.
//! * No byte that a guest sent is seen by supervisor or companion.

mod checks;
mod companion;
mod confine;
mod created;
mod error;
mod listen;
mod logging;
mod pid_file;
mod privileges;
mod run;
mod seccomp;
mod serve;
mod split;
mod status;
mod stop;
mod supervisor;

pub use error::StartError;
pub use run::run;
pub use status::ExitStatus;
