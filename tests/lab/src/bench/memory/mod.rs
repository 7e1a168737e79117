// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench memory`: what guests that read one file cost the host. The measuring is
//! `dax-reclaim`'s.

mod args;
mod run;

pub use args::MemoryArgs;
pub use run::run;
