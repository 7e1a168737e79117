// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--dry-run`: the command lines, for people who start daemon and QEMU themselves.

use std::fmt::Write as _;
use std::path::Path;

use guest_vm::{CONSOLE_INIT, Parts};
use qemu_guest::{
    accel::Accel,
    machine::{CommandLine, Console},
};

use super::config::{Config, Task};

/// Where a daemon that is started by hand listens.
const SOCKET: &str = "/tmp/daxlab-share.sock";

/// What to paste into a shell: the daemon in the background, then QEMU with the guest's console on
/// the terminal. Such a guest has no agent; its init is a script that mounts the share and gives a
/// shell.
pub fn script(config: &Config, parts: &Parts, accel: Accel) -> String {
    let socket = Path::new(SOCKET);
    let daemon = config.share.daemon(&parts.daemon, socket);
    let mut text = format!("# The daemon; it ends with QEMU.\n{daemon} &\n\n");
    let wait = format!("until [ -S {SOCKET} ] || ! kill -0 $!; do sleep 0.1; done");
    let qemu = qemu(config, parts, accel, socket);
    let note = "# QEMU, with the guest's console here; 'exit' in the guest or Ctrl-A X ends it.";
    let _ = write!(text, "{note}\n{wait}\n{qemu}\n");
    if let Task::Command(command) = &config.task {
        let (program, args) = command.split_first().expect("a command has a program");
        let line = CommandLine::new(program).args(args);
        let _ = write!(text, "\n# In the guest:\n# {line}\n");
    }
    text
}

fn qemu(config: &Config, parts: &Parts, accel: Accel, socket: &Path) -> CommandLine {
    let mut machine = config.spec.machine(parts, accel);
    machine.console = Console::Stdio;
    machine.shares.push(config.share.device(socket));
    let init = [
        format!("rdinit={CONSOLE_INIT}"),
        format!("\"share_tag={}\"", config.share.tag),
    ];
    machine.boot.append.extend(init);
    parts.qemu_line().args(machine.args())
}
