// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line: options in, one [`crate::config::Config`] out.
//!
//! There is one parser. The legacy `-o` options are rewritten as the long options that they stand
//! for (`legacy`) and parsed again, so that the meaning of each setting is in one place.

pub mod args;
mod back_end;
mod config;
mod legacy;
mod parse;
mod values;

pub use back_end::print_capabilities;
pub use parse::{Invocation, parse, report};
