// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A tree of small source files, and what people do with one: which files should use the window?

mod chores;
mod contestant;
mod files;
mod measure;
mod policy;
mod report;
mod results;
mod source;

pub use contestant::Contestant;
pub use files::{Repository, RepositoryError};
pub use measure::{Watch, measure};
pub use policy::Policy;
pub use results::{ChoreResult, SCHEMA, TreeRun};
pub use source::{Shape, Source};
