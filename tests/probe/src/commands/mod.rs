// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One file per command: its arguments, and a `run` that gives the verdict.

pub mod copy;
pub mod dax;
pub mod fill;
pub mod hash;
pub mod hold;
pub mod modify;
mod part;
pub mod physical;
pub mod sweep;
pub mod upgrade;
pub mod verify;
