// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab doctor`: what this host can do, line by line, and the remedy for what it can't do.
//!
//! If possible, a check tries the real thing: it boots a guest under KVM, makes a view through FUSE
//! passthrough, starts the daemon, starts QEMU with its guard, and boots a guest with a window.
//! Nothing is fetched or installed.

mod args;
mod finding;
mod guard;
mod guests;
mod host;
mod regions;
mod run;
mod views;

pub use args::DoctorArgs;
pub use regions::vhost_regions;
pub use run::run;
