// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab kernel`: lists the kernels that guests can run, and fetches or builds them in advance.

mod args;
mod list;
mod run;

pub use args::KernelArgs;
pub use run::run;
