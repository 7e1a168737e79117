// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab mutants`: builds kernels in which one hunk is wrong, plays the cases that could notice it,
//! and says which did.
//!
//! ```text
//! a mutant ─▶ its kernel ─▶ `daxlab test` on it ──────────┐
//!          └▶ the kernel without the hunk ─▶ the same ────┴▶ fate ─▶ page
//! ```
//!
//! A case that also fails without the wrong hunk kills no mutant.

mod args;
mod fate;
mod page;
mod play;
mod run;

pub use args::MutantsArgs;
pub use run::run;
