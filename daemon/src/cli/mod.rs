// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line: options in, one [`crate::config::Config`] out.
//!
//! There is one parser. The legacy `-o` options are rewritten as the long options they stand for
//! (`legacy`) and go through it again, so that a setting has one place where it is understood.

pub mod args;
mod back_end;
mod config;
mod legacy;
mod parse;
mod values;

pub use back_end::print_capabilities;
pub use parse::{Invocation, parse, report};
