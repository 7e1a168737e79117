// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest command on this process's own standard input, output and error.
//!
//! [`shell`] gives this terminal to the guest command. Bytes pass unchanged both ways, so that
//! Ctrl-C and Ctrl-Z have their meaning in the guest, and the guest's terminal follows the size of
//! this one. [`command`] runs a guest command in place of a local one; its documentation says when
//! it takes the terminal.
//!
//! Both may be cancelled by dropping them: the guest command is killed, and the terminal is
//! restored. The same holds after a panic, SIGTERM and SIGHUP.

mod error;
mod input;
mod output;
mod raw;
mod session;

pub use error::TerminalError;
pub use session::{command, shell};
