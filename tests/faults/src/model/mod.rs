// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The expected files and window after the steps so far.

mod files;
mod window;

pub use files::{FileId, FileModel, Files};
pub use window::{RANGE, Shown, Slot, WindowModel};
