// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What guests that read one file cost the host's memory.

mod account;
mod measure;
mod picture;
mod report;
mod results;

pub use account::{Account, drop_cached};
pub use measure::{Plan, Watch, measure};
pub use picture::{NAME as PICTURE, picture};
pub use results::{MemoryRun, Point, SCHEMA, Series};
