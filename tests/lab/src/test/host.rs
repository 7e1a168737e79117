// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host that the results were made on.

use std::{fs, thread};

use dax_measure::lab::Host;

/// This machine, with the accelerator and the QEMU that guests are run by.
pub fn describe(accel: String, qemu: String) -> Host {
    Host {
        cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
        cores: thread::available_parallelism().map_or(0, |count| count.get() as u32),
        accel,
        qemu,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .map(|release| release.trim().to_owned())
            .unwrap_or_default(),
    }
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.to_owned())
}
