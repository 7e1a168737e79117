// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon's metrics (`--metrics`), compared with the operations of a test.

mod clients;
mod counts;
mod polled;
mod shown;

use std::time::Duration;

use anyhow::Result;
use virtiofs_driver::window::{MainLoop, Rules};
use virtiofs_driver::{Options, WindowOption, daemon};

use crate::http::address;
use crate::rig::Rig;

/// Longer than the daemon keeps its samples: after this time an answer has new ones.
pub const FRESH: Duration = Duration::from_millis(110);

/// A daemon that serves metrics, and their address.
pub fn rig() -> Result<(Rig, String)> {
    let rules = Rules {
        // A separate thread, so that a test can hold the channel and go on otherwise.
        main_loop: MainLoop::Separate,
        ..Rules::qemu()
    };
    let options = Options {
        window: WindowOption::Required(rules),
        ..Options::default()
    };
    let rig = Rig::start_with(
        daemon::daxd()?,
        &options,
        &["--tag=share", "--dax-window=64M", "--metrics=127.0.0.1:0"],
    )?;
    let address = address(&rig.daemon)?;
    Ok((rig, address))
}
