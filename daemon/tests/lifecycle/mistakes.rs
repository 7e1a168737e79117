// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operators' mistakes: one clear sentence, exit code 1, nothing left behind.

use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;

use crate::fixture::{Daemon, Guarded, Place, can_run, wait_for};

/// Starts a daemon that must fail, and returns its log.
fn fails(place: &Place, options: &[&str]) -> String {
    let mut child = Guarded::spawn(&mut place.command(options));
    let status = child.wait();
    let log = place.logged();
    assert_eq!(status.code(), Some(1), "{options:?}: {log}");
    child.wait_for_group();
    log
}

fn error_lines(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("ERROR")).collect()
}

#[test]
fn each_gets_one_sentence_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let table: [(&[&str], &str); 11] = [
        (&["--shared-dir=/no/such"], "can't share /no/such"),
        (&["--socket-path=/no/such/sock"], "/no/such is no directory"),
        (
            &["--socket-group=no-such-group"],
            "no group 'no-such-group'",
        ),
        (&["--rlimit-nofile=700"], "raise --rlimit-nofile"),
        (&["--rlimit-nofile=99999999999"], "limit of open files"),
        (&["--uid-map=:0:0:1:"], "--uid-map works only without root"),
        (
            &["--gid-map=:0:0:1:", "--sandbox=none"],
            "--gid-map works only",
        ),
        (
            &["--modcaps=-dac_read_search"],
            "use --inode-file-handles=never",
        ),
        (&["--shared-dir=/proc/version"], "it is a file"),
        (
            &["--shared-dir=/etc/passwd", "--sandbox=none"],
            "it is a file",
        ),
        (
            &["--shared-dir=/etc/passwd", "--sandbox=chroot"],
            "it is a file",
        ),
    ];
    for (options, sentence) in table {
        let place = Place::new();
        let log = fails(&place, options);
        let errors = error_lines(&log);
        assert_eq!(errors.len(), 1, "{options:?}: {log}");
        assert!(errors[0].contains(sentence), "{options:?}: {log}");
        assert!(place.left_over().is_empty(), "{options:?}");
    }
}

#[test]
fn a_file_in_the_place_of_the_socket_is_not_removed() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    fs::write(place.socket(), "precious").unwrap();
    assert!(fails(&place, &[]).contains("is not a socket"));
    assert_eq!(fs::read(place.socket()).unwrap(), b"precious");
    assert_eq!(place.left_over(), [place.socket()]);
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    if !can_run() {
        return;
    }
    let mut daemon = Daemon::start(&[]);
    let log = fails(&daemon.place, &[]);
    let holder = format!("locked by process {}", daemon.roles.supervisor.pid);
    assert!(log.contains(&holder), "{log}");
    drop(UnixStream::connect(daemon.place.socket()).expect("the first one still listens"));
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.wait_until_gone();
}

#[test]
fn a_read_only_share_has_a_window_only_if_one_was_asked_for_and_no_views() {
    if !can_run() {
        return;
    }
    for (options, has_window) in [
        (&["--readonly"][..], false),
        (&["--readonly", "--dax-window=16M"], true),
    ] {
        let daemon = Daemon::start(options);
        let log = daemon.place.logged();
        assert_eq!(log.contains("DAX window of 16 MiB"), has_window, "{log}");
        let said = log.contains("only for a VMM that maps files for reading only");
        assert_eq!(said, has_window, "{log}");
        assert_eq!(
            daemon.roles.companion.name, "daxd-companion",
            "no views are served"
        );
    }
}

#[test]
fn without_privileges_there_is_no_window_but_a_share() {
    if !can_run() {
        return;
    }
    const NOBODY: u32 = 65534;
    let place = Place::new();
    for path in [place.share(), place.share().parent().unwrap().to_owned()] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = place.command(&["--sandbox=none", "--inode-file-handles=never"]);
    let mut child = Guarded::spawn(command.uid(NOBODY).gid(NOBODY));
    wait_for("the socket", || UnixStream::connect(place.socket()).ok());
    let status = child.wait();
    assert_eq!(status.code(), Some(0), "{}", place.logged());
    assert!(
        place.logged().contains("no DAX window"),
        "{}",
        place.logged()
    );
    assert!(place.left_over().is_empty());
}
