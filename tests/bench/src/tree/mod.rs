// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A tree of small source files, and usual work on it: which files should use the window?

mod chores;
mod files;
mod measure;
mod policy;
pub mod results;
mod source;

pub use files::Repository;
pub use measure::{measure, start};
pub use policy::Policy;
pub use results::{ChoreResult, SCHEMA, TreeRun};
pub use source::{Shape, Source};
