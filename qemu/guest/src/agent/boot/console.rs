// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's console: the agent's output when it can't reach the host.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    panic,
};

use rustix::{fs::OFlags, stdio};

use crate::agent::shutdown;
use crate::wire::CONSOLE_MARK;

/// Makes `/dev/console` the agent's standard input, output and error. An initramfs without that
/// node leaves its first process without them.
pub(crate) fn take() -> Option<String> {
    let taken = || -> io::Result<()> {
        let console = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits() as i32)
            .open("/dev/console")?;
        stdio::dup2_stdin(&console)?;
        stdio::dup2_stdout(&console)?;
        stdio::dup2_stderr(&console)?;
        Ok(())
    };
    let error = taken().err()?;
    Some(format!("can't open /dev/console: {error}"))
}

/// Writes one line with the agent's mark.
pub(crate) fn say(line: impl Display) {
    // One write, so that the kernel's own lines don't come in between. A failure can't be reported
    // anywhere.
    let line = format!("{CONSOLE_MARK}{line}\n");
    io::stderr().write_all(line.as_bytes()).ok();
}

/// Lets a panic of any thread end the guest at once, with a line on the console.
pub(crate) fn power_off_on_panic() {
    panic::set_hook(Box::new(|panic| {
        say(format_args!("fatal: {panic}"));
        shutdown::power_off_now();
    }));
}
