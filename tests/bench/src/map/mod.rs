// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cost of a mapping, compared with its physical limit.
//!
//! The sides are daemons with different numbers of live mappings, and the limit. A turn sets
//! mappings up and removes them again, one at a time or 16 in a batch, beside the live ones.
//! Setting up and removing are two points.

mod case;
mod guest;
mod limit;
mod measure;
mod sample;

pub use case::{Case, Kind, Manners};
pub use measure::measure;

use limit::Limit;
