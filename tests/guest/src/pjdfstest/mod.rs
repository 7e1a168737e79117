// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! pjdfstest, the suite of POSIX file system semantics: run in a guest, read, compared.

mod comparison;
mod outcome;
mod suite;

pub use comparison::Comparison;
pub use outcome::Outcomes;
pub use suite::{prepare, some, whole};
