// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab doctor`: what this host can do, line by line, and how to mend what it can't.
//!
//! Each check really tries what it speaks of where that is possible: it boots a guest under KVM,
//! it makes a view through FUSE passthrough, it starts the daemon, and QEMU with its guard, and boots a
//! guest with a window. Nothing is fetched or installed.

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
