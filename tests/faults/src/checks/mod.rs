// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What must be true after a fault. Each check has a test in which it fails.

mod account;
pub mod bytes;
pub mod gone;
pub mod tables;

pub use account::{Account, wait_until_idle_threads_end};
