// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line of `daxlab`: one subcommand per module of this crate.

mod entry;
mod status;
mod word;

pub use entry::{definition, main};
pub use status::{Status, UsageError};
pub(crate) use word::word;
