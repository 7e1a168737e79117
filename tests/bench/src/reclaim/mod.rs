// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cost of a DAX window's reclaim, measured in real guests.
//!
//! A guest accesses a working set of files, served by one of several *sides*: this project's daemon
//! with windows of several sizes and without one, virtiofsd, ext4 and xfs with DAX on persistent
//! memory, and tmpfs as the limit. Each side has a guest of its own. All guests are alike, and they
//! take turns.
//!
//! [`guest_agent::workload`] is the guest's half.

mod fixture;
mod measure;
mod metrics;
pub mod model;
pub mod plan;
mod sample;
mod sheet;
mod side;
mod system;
mod targets;

pub use fixture::{Fixture, IN_MEMORY};
pub use measure::{Field, Length, measure};
pub use metrics::Metrics;
pub(crate) use sheet::lines;
pub use side::{Side, SideError, SideKind};
pub use system::SystemUnderTest;
