// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Bytes of a file: through the window, through FUSE_READ, and as fast as this processor copies
//! them.

mod copier;
mod measure;
mod reader;
mod sample;

pub use measure::measure;
