// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Commands that run for the host.
//!
//! Each has a thread that waits for its end and one for each of its streams. They share an
//! [`ExitEvent`](io::ExitEvent): once the command's first process is gone they finish what is under way and end,
//! whoever else still holds the other ends of the pipes.

mod io;
mod output;
mod spawn;
mod stdin;
mod table;

pub(crate) use table::Execs;
