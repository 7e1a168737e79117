// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The validated, immutable settings of one daemon.
//!
//! [`crate::cli`] makes these types from the options; all other code only reads them. The settings
//! of the file system itself are virtiofsd's own [`virtiofsd::passthrough::Config`], filled in as
//! far as the command line decides it.

mod capabilities;
mod confinement;
mod daemon;
mod dax;
mod endpoint;
mod fault;
mod metrics;
mod regions;
mod window;

pub use capabilities::{CapabilityChanges, CapabilityError, KeptCapabilities, ModcapsError};
pub use confinement::{Confinement, SeccompMode};
pub use daemon::{Config, ConfigError, DeviceConfig, LockScope, Logging, Share};
pub use dax::{DaxMode, DaxPolicy, HostTruncate};
pub use endpoint::{Endpoint, SocketFile};
pub use fault::Fault;
pub use metrics::{MetricsAddress, MetricsEndpoint};
pub use regions::MaxRegions;
pub use window::{RequestedSize, WindowRequest, WindowSizeError};
