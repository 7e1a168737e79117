// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options as clap sees them, one group per concern.
//!
//! Names, defaults and conflicts are those of virtiofsd 1.14 (the test `tests/options.rs` holds
//! the list); [`window`] is ours. A value that is wrong by itself is refused here, a combination
//! that is wrong in [`crate::config`].

pub mod endpoint;
pub mod migration;
pub mod running;
pub mod sandbox;
pub mod share;
pub mod window;

mod top;

pub use top::Args;
