// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cases: how a page is pinned, what removes the page, and the expected outcome.
//!
//! The matrix is the product of pins, removals and file systems. [`scenarios`] are cases with a
//! course of their own. Both are lists of [`Case`]s.

mod case;
mod complaint;
mod contract;
mod expect;
mod export;
mod files;
mod filler;
mod fixture;
mod held;
mod host_side;
mod judge;
mod matrix;
mod new_owner;
mod observation;
mod pin;
mod removal;
pub mod scenarios;
mod spurious;
mod teardown;
mod verify;
mod wait;

pub use case::{Case, all};
pub use complaint::{Allowed, Complaint, Severity, complaints, panic, stalls};
pub use contract::Reference;
pub(crate) use expect::version;
pub use expect::{KernelKind, Vmm, expected, finding};
pub use export::{Reason, program};
pub use files::Page;
pub use held::Held;
pub use host_side::OnHost;
pub use judge::{Ended, HeldTo, Judgement, Signs};
pub use observation::Observation;
pub use pin::Pin;
pub use removal::RemovalKind;
