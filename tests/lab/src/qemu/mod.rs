// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab qemu`: lists the QEMUs that guests can run on, and builds one in advance.

mod args;
mod list;
mod run;

pub use args::{QemuArg, QemuArgs, spec};
pub use run::run;
