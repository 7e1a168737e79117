// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab kernel`: which kernels guests can run, and getting them before they are needed.

mod args;
mod list;
mod run;

pub use args::KernelArgs;
pub use run::run;
