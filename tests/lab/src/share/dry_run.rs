// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--dry-run`: the command lines, for people who start daemon and QEMU themselves.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process;

use qemu_guest::vm::{CONSOLE_INIT, Parts};
use qemu_guest::{
    accel::Accel,
    vm::machine::{CommandLine, Console},
};

use super::config::{Config, Task};
use crate::doctor::vhost_regions;

/// The lines to paste into a shell: the daemon in the background, then QEMU with the guest's
/// console on the terminal. Such a guest has no agent. Its init is a script that mounts the share
/// and starts a shell.
pub fn script(config: &Config, parts: &Parts, accel: Accel) -> String {
    let socket = socket(parts);
    let daemon = config.share.daemon(&parts.daemon, &socket);
    let mut text = format!("# The daemon; it ends with QEMU.\n{daemon} &\n\n");
    // A command line of one word, to quote the word for the shell.
    let word = CommandLine::new(&socket);
    let wait = format!("until [ -S {word} ] || ! kill -0 $!; do sleep 0.1; done");
    let qemu = qemu(config, parts, accel, &socket);
    let note = "# QEMU, with the guest's console here; 'exit' in the guest or Ctrl-A X ends it.";
    let _ = write!(text, "{note}\n{wait}\n{qemu}\n");
    if let (Some(window), Some(regions)) = (config.window.size(), vhost_regions())
        && window.bytes() >> 21 > regions
    {
        let _ = write!(
            text,
            "\n# vhost devices of this host take {regions} memory regions, and each mapped 2 MiB is one:\n\
             # add no vhost-net or vhost-vsock to this VM, or make the window smaller.\n"
        );
    }
    if let Task::Command(command) = &config.task {
        let (program, args) = command.split_first().expect("a command has a program");
        let line = CommandLine::new(program).args(args);
        let _ = write!(text, "\n# In the guest:\n# {line}\n");
    }
    text
}

/// The socket of a daemon that is started by hand. Only this user can make files in its folder, and
/// its name is not used by others.
fn socket(parts: &Parts) -> PathBuf {
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime_dir = runtime_dir.filter(|dir| dir.is_dir());
    let root = rustix::process::geteuid().is_root();
    let private = runtime_dir.or_else(|| root.then(|| "/run".into()));
    let private = private.unwrap_or_else(|| parts.cache.root().to_owned());
    private.join(format!("daxlab-share-{}.sock", process::id()))
}

fn qemu(config: &Config, parts: &Parts, accel: Accel, socket: &Path) -> CommandLine {
    let init = [
        format!("rdinit={CONSOLE_INIT}"),
        format!("\"share_tag={}\"", config.share.tag),
    ];
    let mut spec = config.spec.clone();
    spec.append.extend(init);
    let mut machine = spec.machine(parts, accel);
    machine.console = Console::Stdio;
    machine.shares.push(config.share.device(socket));
    parts.qemu_line().args(machine.args())
}
