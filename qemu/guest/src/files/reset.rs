// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes a share's device away from its driver.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// The driver of virtio-fs devices.
const DRIVER: &str = "/sys/bus/virtio/drivers/virtiofs";

/// Takes the first device of virtio-fs away from its driver, which resets it and removes its window
/// from memory, and gives it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetDevice {}

impl Op for ResetDevice {
    const NAME: &'static str = "reset-device";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        let device = first_device()?;
        for file in ["unbind", "bind"] {
            let told = fs::write(format!("{DRIVER}/{file}"), &device);
            told.map_err(Fault::of(format!("writing {device} to {DRIVER}/{file}")))?;
        }
        Ok(())
    }
}

/// The device with the lowest number: `virtio3`.
fn first_device() -> Result<String, Fault> {
    let entries = fs::read_dir(DRIVER).map_err(Fault::of(format!("listing {DRIVER}")))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = names.filter_map(|name| name.strip_prefix("virtio")?.parse::<u32>().ok());
    let first = numbers.min();
    let first =
        first.ok_or_else(|| Fault::new(format!("looking into {DRIVER}"), "it has no device"));
    Ok(format!("virtio{}", first?))
}
