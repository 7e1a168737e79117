// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The log: where it goes, how an error is shown in one line, and how often a guest can cause a line.

mod library_limit;
mod rate_limit;
mod start;

pub(crate) use rate_limit::{ErrorChain, LogLimit};
pub(crate) use start::start;
