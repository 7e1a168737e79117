// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a mapping costs, against what it can't cost less than.

mod limit;

pub use limit::{Limit, LimitError};
