// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The socket of `--metrics`: in every sandbox, and gone however the daemon ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::process::Signal;
use virtiofs_driver::daemon::Process;

use crate::fixture::{Daemon, Guarded, MODES, Place, can_run, signal};

/// The path for the socket in a place, and the option for it.
fn metrics(place: &Place) -> (PathBuf, String) {
    let path = place.socket().with_file_name("metrics");
    let option = format!("--metrics={}", path.display());
    (path, option)
}

fn start(options: &[&str]) -> (Daemon, PathBuf) {
    let place = Place::new();
    let (path, option) = metrics(&place);
    let options = [&[option.as_str()], options].concat();
    (Daemon::start_in(place, &options), path)
}

/// What the daemon answers there.
fn ask(path: &PathBuf) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn they_are_served_in_every_sandbox_under_the_filter_and_the_socket_goes() {
    if !can_run() {
        return;
    }
    for mode in MODES {
        for window in ["0", "16M"] {
            let window = format!("--dax-window={window}");
            let (mut daemon, path) = start(&["--sandbox", mode, &window, "--seccomp=kill"]);
            assert_eq!(
                daemon.place.left_over().len(),
                4,
                "two sockets, two pid files"
            );
            let answer = ask(&path);
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n"),
                "{mode}: {answer}"
            );
            let has_window = answer.contains("virtiofs_daxd_window_size_bytes 16777216");
            assert_eq!(has_window, window.ends_with("16M"), "{mode}: {answer}");
            signal(&daemon.roles.supervisor, Signal::TERM);
            assert!(daemon.wait().success(), "{}", daemon.place.logged());
            daemon.wait_until_gone();
        }
    }
}

#[test]
fn they_are_served_beside_a_log_that_goes_to_syslog() {
    if !can_run() {
        return;
    }
    let (daemon, path) = start(&["--syslog"]);
    assert!(ask(&path).starts_with("HTTP/1.1 200 OK\r\n"));
    signal(&daemon.roles.supervisor, Signal::TERM);
    daemon.wait_until_gone();
}

#[test]
fn the_socket_is_its_owner_s_alone_whatever_group_the_other_one_has() {
    if !can_run() {
        return;
    }
    let (_daemon, path) = start(&["--socket-group=daemon"]);
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn the_socket_of_a_killed_daemon_goes_too() {
    if !can_run() {
        return;
    }
    let killed: [fn(&Daemon) -> &Process; 3] = [
        |daemon| &daemon.roles.supervisor,
        |daemon| &daemon.roles.serving,
        |daemon| &daemon.roles.companion,
    ];
    for (number, process) in killed.iter().enumerate() {
        let (daemon, path) = start(&[]);
        assert!(path.exists());
        signal(process(&daemon), Signal::KILL);
        if number == 2 {
            // Without its companion it goes on.
            signal(&daemon.roles.supervisor, Signal::TERM);
        }
        daemon.wait_until_gone();
    }
}

#[test]
fn a_socket_left_over_is_replaced() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let (path, option) = metrics(&place);
    drop(UnixListener::bind(&path).unwrap());
    let daemon = Daemon::start_in(place, &[&option]);
    assert!(ask(&path).starts_with("HTTP/1.1 200 OK\r\n"));
    signal(&daemon.roles.supervisor, Signal::TERM);
    daemon.wait_until_gone();
}

#[test]
fn an_address_that_can_t_be_had_gets_one_sentence_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--metrics={}", port.local_addr().unwrap());
    let (other, path) = start(&[]);
    let held = format!("--metrics={}", path.display());
    let vmm_s = format!("--metrics={}", other.place.socket().display());
    let precious = other.place.share().join("precious");
    fs::write(&precious, "").unwrap();
    let no_socket = format!("--metrics={}", precious.display());
    for (option, code, sentence) in [
        (
            taken.as_str(),
            1,
            "change --metrics (port 0 takes a free one)",
        ),
        (&held, 1, "stop that one, or change --metrics"),
        // The other daemon would take each client of this socket for its VMM.
        (&vmm_s, 1, "stop that one, or change --metrics"),
        ("--metrics=/no/such/socket", 1, "/no/such is no directory"),
        (
            &no_socket,
            1,
            "is not a socket; remove it, or change --metrics",
        ),
        ("--metrics=0.0.0.0:0", 2, "add --metrics-anywhere"),
        ("--metrics=nonsense", 2, "expected 127.0.0.1:PORT"),
    ] {
        let place = Place::new();
        let mut child = Guarded::spawn(&mut place.command(&[option]));
        assert_eq!(child.wait().code(), Some(code), "{option}");
        let log = place.logged();
        assert!(log.contains(sentence), "{option}: {log}");
        let errors = log.lines().filter(|line| line.contains("ERROR")).count();
        assert_eq!(errors, usize::from(code == 1), "{option}: {log}");
        child.wait_for_group();
        assert!(place.left_over().is_empty(), "{option}");
    }
    assert!(
        ask(&path).starts_with("HTTP/1.1 200 OK\r\n"),
        "the first one goes on"
    );
}
