// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host memory of guests that read one file.

mod account;
mod measure;
mod picture;
pub mod results;

pub use account::{Account, drop_cached};
pub use measure::{Plan, measure};
pub use picture::picture;
pub use results::{MemoryRun, Point, SCHEMA, Series};
