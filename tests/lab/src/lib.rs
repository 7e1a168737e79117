// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Shares a directory with a guest through a DAX window, and tests what happens there.

pub mod bench;
pub mod bisect;
pub mod catalogue;
pub mod cli;
pub mod doctor;
pub mod kernel;
pub mod mutants;
pub mod qemu;
pub mod random;
pub mod series;
pub mod share;
pub mod signals;
pub mod soak;
pub mod terminal;
pub mod test;
pub mod top;
