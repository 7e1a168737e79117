// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's half: a guest for each side, turns, and what they cost the host.

mod agreement;
mod contestant;
mod cpu;
mod ground;
mod kernel;
mod measure;
mod metrics;
mod side;
mod standing;
mod turn;

pub(crate) use contestant::mount_when_there;
pub use contestant::{Contestant, MEMORY};
pub use cpu::Family;
pub use ground::{Ground, IN_MEMORY};
pub use kernel::KernelParts;
pub(crate) use measure::in_order;
pub use measure::{Ended, Field, Length, Measured, Watch, measure};
pub use metrics::{Metrics, MetricsError};
pub use side::{Side, SideError, SideKind};
pub use standing::Standing;
