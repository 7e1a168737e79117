// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a mapping costs, against what it can't cost less than.
//!
//! Sides are daemons with so many live mappings each, and the limit. A turn sets mappings up
//! and removes them again, one at a time or 16 in a batch, beside the live ones: setting up and
//! removing are two points.

mod case;
mod guest;
mod limit;
mod measure;
mod sample;

pub use case::{Case, Kind, Manners};
pub use measure::measure;

use limit::Limit;
