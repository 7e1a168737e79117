// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window under a limit of memory regions: what the daemon makes of it, and what it says.

use std::process::Command;

use rustix::process::Signal;

use crate::fixture::{Daemon, Place, can_run, signal};

/// A table of loaded modules with one, `vhost`, whose devices take 64 regions.
const WITH_VHOST: &str = "mount -t tmpfs none /sys/module && mkdir -p /sys/module/vhost/parameters \
     && echo 64 > /sys/module/vhost/parameters/max_mem_regions && exec \"$@\"";

/// The command behind a shell with a mount namespace of its own, in which the host has `vhost`.
fn with_vhost(command: &Command) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", WITH_VHOST, "sh"]);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare
}

/// What a daemon logs.
fn log_of(vhost: bool, options: &[&str]) -> String {
    let place = Place::new();
    let mut command = place.command(options);
    if vhost {
        command = place.settle(with_vhost(&command));
    }
    let mut daemon = Daemon::start_by(command, place);
    signal(&daemon.roles.supervisor, Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.place.logged());
    daemon.place.logged()
}

/// Whether the host has vhost, the options; the window's size, and what is said of the limit.
type Row<'a> = (bool, &'a [&'a str], Option<u32>, Option<&'a str>);

#[test]
fn a_window_is_as_large_as_the_vm_s_other_devices_allow() {
    if !can_run() {
        return;
    }
    let (none, limited) = (false, true);
    let table: [Row; 9] = [
        (none, &[], Some(512), None),
        (none, &["--mem-slots"], Some(256), None),
        (
            limited,
            &[],
            Some(64),
            Some("instead of 512: max_mem_regions=64"),
        ),
        (limited, &["--max-regions=0"], Some(512), None),
        (limited, &["--dax-window=64M"], Some(64), None),
        (
            limited,
            &["--dax-window=128M"],
            Some(128),
            Some("WARN 64 ranges, more than max_mem_regions=64"),
        ),
        (
            none,
            &["--max-regions=64"],
            Some(64),
            Some("instead of 512: --max-regions=64"),
        ),
        (
            none,
            &["--max-regions=64", "--dax-window=256M"],
            Some(256),
            Some("WARN 128 ranges, more than --max-regions=64"),
        ),
        (
            none,
            &["--max-regions=8"],
            None,
            Some("WARN no DAX window: --max-regions=8"),
        ),
    ];
    for (vhost, options, size, said) in table {
        let log = log_of(vhost, options);
        let window = size.map(|size| format!("DAX window of {size} MiB"));
        match &window {
            Some(window) => assert!(log.contains(window), "{options:?}: {log}"),
            None => assert!(!log.contains("DAX window of"), "{options:?}: {log}"),
        }
        let about: Vec<_> = log
            .lines()
            .filter(|line| line.contains("regions"))
            .collect();
        let Some(said) = said else {
            assert!(about.is_empty(), "{options:?}: {log}");
            continue;
        };
        let warned = said.strip_prefix("WARN ");
        assert_eq!(about.len(), 1, "{options:?}: {log}");
        assert!(
            about[0].contains(warned.unwrap_or(said)),
            "{options:?}: {log}"
        );
        assert_eq!(
            about[0].contains("WARN"),
            warned.is_some(),
            "{options:?}: {log}"
        );
    }
}
