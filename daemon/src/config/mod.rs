// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The validated, immutable settings of one daemon.
//!
//! [`crate::cli`] is the only producer; everything behind it reads these types and never an
//! option string.

mod dax;

pub use dax::{DaxMode, DaxPolicy};
