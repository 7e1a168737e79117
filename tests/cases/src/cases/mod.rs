// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cases: how a page is pinned, what removes the page, and the expected outcome.
//!
//! The matrix is the product of pins, removals and file systems. [`stories`] are cases with a
//! course of their own. Both are lists of [`Case`]s.

mod aftermath;
mod case;
mod contract;
mod decoy;
mod expect;
mod held;
mod matrix;
mod new_owner;
mod observation;
mod pin;
mod removal;
mod roles;
mod scene;
pub mod stories;
mod strike;
mod vain;

pub use case::{Case, all};
pub use contract::Reference;
pub use expect::{KernelKind, Vmm, expected, finding};
pub use observation::{Observation, complaints, stalls};
pub use pin::Pin;
pub use removal::RemovalKind;
