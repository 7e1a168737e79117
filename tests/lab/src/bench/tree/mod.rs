// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench tree`: a source tree in guests. The measuring is `dax-reclaim`'s.

mod args;
mod run;

pub use args::TreeArgs;
pub use run::run;
