// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From the kernel's start of the first process to an open port.
//!
//! Problems are collected and reported to the host in the first message. Only a missing port is
//! fatal: without it no report can be sent.

pub(crate) mod console;
mod modules;
pub(crate) mod mounts;
mod port;

use std::fs::File;

use anyhow::Context;
use rustix::{system, time};

use crate::wire::Boot;

const HOST_NAME: &[u8] = b"guest";

/// Makes the guest usable and opens the port to the host.
pub(crate) fn boot() -> anyhow::Result<(File, Boot)> {
    let mut problems = mounts::mount_all();
    problems.extend(console::take());
    if let Err(error) = system::sethostname(HOST_NAME) {
        problems.push(format!("can't set the host name: {error}"));
    }
    // Before the modules, so that no event of their devices is missed.
    let watch = port::Watch::start().context("can't watch the kernel for new devices")?;
    let modules = modules::load_all(&mut problems);
    for problem in &problems {
        console::say(problem);
    }
    let port = watch.wait_for_port()?;
    let facts = Boot {
        kernel: kernel_release(),
        uptime_ms: uptime_ms(),
        modules,
        problems,
    };
    Ok((port, facts))
}

/// The running kernel's release, as in `uname -r`.
pub(crate) fn kernel_release() -> String {
    system::uname().release().to_string_lossy().into_owned()
}

/// Time since the kernel's start.
pub(crate) fn uptime_ms() -> u64 {
    let now = time::clock_gettime(time::ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}
