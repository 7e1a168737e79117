// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the lab found: the model of its results, and every report of them.

pub mod model;
