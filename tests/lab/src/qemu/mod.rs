// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab qemu`: which QEMUs guests can run on, and getting the one that is built.

mod args;
mod list;
mod run;

pub use args::{QemuArg, QemuArgs, spec};
pub use run::run;
