// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon says of itself (`--metrics`), against what was done with it.

mod clients;
mod counts;
mod shown;

use std::time::Duration;

use anyhow::Result;
use virtiofs_driver::window::{MainLoop, Rules};
use virtiofs_driver::{Options, WindowOption, daemon};

use crate::http::address;
use crate::rig::Rig;

/// The daemon looks at most this often; a look after it is a new one.
pub const FRESH: Duration = Duration::from_millis(110);

/// A daemon that serves metrics, and where.
pub fn rig() -> Result<(Rig, String)> {
    let rules = Rules {
        // So that a test can hold the channel, and go on with the rest.
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
