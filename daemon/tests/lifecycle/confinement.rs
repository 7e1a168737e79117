// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the serving process may do: what virtiofsd 1.14 may, and no more.

use virtiofs_driver::daemon::Process;

use crate::fixture::{Daemon, MODES, can_run, wait_for};

/// virtiofsd 1.14's capabilities as seen in /proc/PID/status: chown, dac_override,
/// dac_read_search, fowner, fsetid, setgid, setuid, mknod, setfcap.
const VIRTIOFSD: &str = "00000000880000df";
const NONE: &str = "0000000000000000";
/// A filter is loaded.
const FILTERED: &str = "2";

fn capabilities(process: &Process) -> [String; 5] {
    ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"].map(|set| status(process, set))
}

fn status(process: &Process, field: &str) -> String {
    let value = process.status(field);
    value.unwrap_or_else(|| panic!("no {field} of {process:?}"))
}

#[test]
fn the_serving_process_is_as_confined_as_virtiofsd() {
    if !can_run() {
        return;
    }
    for mode in MODES {
        let daemon = Daemon::start(&["--sandbox", mode]);
        let serving = &daemon.roles.serving;
        assert_eq!(
            capabilities(serving),
            [VIRTIOFSD, VIRTIOFSD, NONE, NONE, NONE],
            "{mode}"
        );
        assert_eq!(status(serving, "Seccomp"), FILTERED, "{mode}");
        assert_eq!(status(serving, "NoNewPrivs"), "1", "{mode}");
        assert_eq!(status(serving, "Groups"), "", "{mode}");
    }
}

#[test]
fn the_namespace_sandbox_is_one() {
    if !can_run() {
        return;
    }
    let daemon = Daemon::start(&["--sandbox=namespace"]);
    let namespace = |pid, kind| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for kind in ["pid", "mnt", "net"] {
        assert_ne!(
            namespace(daemon.roles.serving.pid, kind),
            namespace(std::process::id().cast_signed(), kind),
            "{kind}"
        );
    }
    // It gives up its own while the inner one starts.
    wait_for(
        "the outer process, which only waits, to be without capabilities",
        || {
            let outer = Process::find(daemon.roles.daemon.pid)?;
            (capabilities(&outer) == [NONE; 5]).then_some(())
        },
    );
}

#[test]
fn options_change_the_confinement() {
    if !can_run() {
        return;
    }
    let options = [
        "--sandbox=none",
        "--modcaps=-mknod:+sys_admin",
        "--inode-file-handles=never",
        "--seccomp=none",
    ];
    let daemon = Daemon::start(&options);
    let serving = &daemon.roles.serving;
    assert_eq!(status(serving, "CapEff"), "00000000802000db");
    assert_eq!(status(serving, "Seccomp"), "0");
}

#[test]
fn only_the_serving_process_listens() {
    if !can_run() {
        return;
    }
    for mode in MODES {
        let daemon = Daemon::start(&["--sandbox", mode]);
        let listening = std::fs::read_to_string("/proc/net/unix").unwrap();
        let socket = daemon.place.socket();
        let inode = listening
            .lines()
            .find(|line| line.ends_with(socket.to_str().unwrap()))
            .and_then(|line| line.split_whitespace().nth(6))
            .expect("a listening socket");
        let holds = |process: &Process| process.open_files().contains(&format!("socket:[{inode}]"));
        let roles = &daemon.roles;
        assert!(holds(&roles.serving), "{mode}");
        // The others close theirs while that one starts.
        let lets_go = |role: &str, process: &Process| {
            let what = format!("the {role} of a daemon in {mode} not to listen");
            wait_for(&what, || (!holds(process)).then_some(()));
        };
        lets_go("supervisor", &roles.supervisor);
        lets_go("companion", &roles.companion);
        if mode == "namespace" {
            lets_go("outer process", &roles.daemon);
        }
    }
}

#[test]
fn the_helpers_keep_only_what_they_need() {
    if !can_run() {
        return;
    }
    const REMOVE_FILES: u64 = 1 << 1 | 1 << 3;
    const SYS_ADMIN: u64 = 1 << 21;
    let keeps = |process: &Process, kept: u64| {
        wait_for("a helper to drop its capabilities", || {
            let now = process.status("CapEff")?;
            (u64::from_str_radix(&now, 16) == Ok(kept)).then_some(())
        });
    };
    let daemon = Daemon::start(&[]);
    keeps(&daemon.roles.supervisor, REMOVE_FILES);
    let views = daemon.roles.companion.name == "dax-views";
    assert!(views, "without views there is nothing to look at");
    keeps(&daemon.roles.companion, REMOVE_FILES | SYS_ADMIN);
    const SEE_CALLS: u64 = 1 << 19;
    let daemon = Daemon::start(&["--host-truncate=refuse"]);
    keeps(
        &daemon.roles.companion,
        REMOVE_FILES | SYS_ADMIN | SEE_CALLS,
    );
    let daemon = Daemon::start(&["--dax=never"]);
    keeps(&daemon.roles.companion, REMOVE_FILES);
}
