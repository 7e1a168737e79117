// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files that are shared while it is measured.

mod file_system;
mod make;

pub use file_system::file_system;
pub use make::{
    DATA, DATA_SIZE, Files, FilesError, MANY, MANY_COUNT, NAMES, NAMES_COUNT, RANGE, SMALL,
    SMALL_SIZE, SPARSE,
};
