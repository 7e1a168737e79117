// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every way a daemon can end, in every sandbox.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{
    Daemon, Guarded, MODES, PATIENCE, Place, bare_command, can_run, signal, wait_for,
};

/// The mounts that a daemon could be the reason of: those with a place of the tests in them, and
/// FUSE file systems. Others may mount what they like meanwhile.
fn mounts(place: &Place) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let share = place.share();
    let dir = share.parent().unwrap().to_str().unwrap();
    let ours = |line: &&str| line.contains(dir) || line.contains(" - fuse");
    table.lines().filter(ours).map(str::to_owned).collect()
}

/// Runs `end` on a daemon in each sandbox, and checks the exit code and that nothing is left.
/// No code: the process that was started is itself killed.
fn ends_clean(code: Option<i32>, options: &[&str], end: impl Fn(&Daemon)) {
    if !can_run() {
        return;
    }
    for mode in MODES {
        let place = Place::new();
        let before = mounts(&place);
        let mut daemon = Daemon::start_in(place, &[&["--sandbox", mode], options].concat());
        assert_eq!(daemon.place.left_over().len(), 2, "socket and pid file");
        end(&daemon);
        let status = daemon.wait();
        assert_eq!(status.code(), code, "{mode}: {}", daemon.place.logged());
        if code.is_none() {
            assert_eq!(status.signal(), Some(9), "{mode}");
        } else {
            let left_over = daemon.place.left_over();
            assert!(
                left_over.is_empty(),
                "{mode}: at exit there was {left_over:?}"
            );
        }
        daemon.wait_until_gone();
        assert_eq!(mounts(&daemon.place), before, "{mode}");
    }
}

#[test]
fn the_vmm_disconnects() {
    ends_clean(Some(0), &[], |daemon| {
        drop(UnixStream::connect(daemon.place.socket()).unwrap());
    });
}

#[test]
fn the_vmm_disconnects_from_a_daemon_without_a_window() {
    ends_clean(Some(0), &["--dax-window=0"], |daemon| {
        drop(UnixStream::connect(daemon.place.socket()).unwrap());
    });
}

#[test]
fn asked_to_stop_while_it_waits() {
    for ask in [Signal::TERM, Signal::INT, Signal::HUP] {
        ends_clean(Some(0), &[], |daemon| signal(&daemon.roles.supervisor, ask));
    }
}

#[test]
fn a_daemon_that_is_asked_to_stop_says_what_it_did_and_complains_of_nothing() {
    if !can_run() {
        return;
    }
    // Without a wish for a limit there is none to complain of.
    let mut daemon = Daemon::start(&["--rlimit-nofile=0"]);
    signal(&daemon.roles.supervisor, Signal::TERM);
    assert!(daemon.wait().success());
    let log = daemon.place.logged();
    assert!(log.contains("counters: requests.0=0 "), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn asked_to_stop_while_a_vmm_is_connected() {
    ends_clean(Some(0), &[], |daemon| {
        let vmm = UnixStream::connect(daemon.place.socket()).unwrap();
        signal(&daemon.roles.supervisor, Signal::TERM);
        wait_for("the daemon to hang up", || {
            std::io::Read::read(&mut &vmm, &mut [0]).map_or(Some(()), |n| (n == 0).then_some(()))
        });
    });
}

#[test]
fn the_pid_file_names_a_process_that_stops_all() {
    ends_clean(Some(0), &[], |daemon| {
        let text = fs::read_to_string(daemon.place.pid_file()).unwrap();
        assert_eq!(text, format!("{}\n", daemon.roles.supervisor.pid));
        // Then it is asked like any other.
        signal(&daemon.roles.supervisor, Signal::TERM);
    });
}

#[test]
fn any_of_its_processes_may_be_asked() {
    ends_clean(Some(0), &[], |daemon| {
        signal(&daemon.roles.companion, Signal::TERM)
    });
    ends_clean(Some(0), &[], |daemon| {
        signal(&daemon.roles.daemon, Signal::TERM)
    });
    ends_clean(Some(0), &[], |daemon| {
        signal(&daemon.roles.serving, Signal::TERM)
    });
}

#[test]
fn the_supervisor_is_killed() {
    ends_clean(None, &[], |daemon| {
        signal(&daemon.roles.supervisor, Signal::KILL)
    });
    ends_clean(None, &["--dax-window=0"], |daemon| {
        signal(&daemon.roles.supervisor, Signal::KILL);
    });
}

#[test]
fn the_daemon_is_killed() {
    ends_clean(Some(1), &[], |daemon| {
        signal(&daemon.roles.daemon, Signal::KILL)
    });
}

#[test]
fn the_serving_process_is_killed() {
    ends_clean(Some(1), &[], |daemon| {
        signal(&daemon.roles.serving, Signal::KILL)
    });
}

#[test]
fn the_companion_is_killed_and_the_daemon_serves_on() {
    ends_clean(Some(0), &[], |daemon| {
        signal(&daemon.roles.companion, Signal::KILL);
        wait_for("the supervisor to notice", || {
            daemon
                .place
                .logged()
                .contains("companion process ended")
                .then_some(())
        });
        drop(UnixStream::connect(daemon.place.socket()).unwrap());
    });
}

/// The limit of what is cleaned up: who could remove the files is gone.
#[test]
fn supervisor_and_companion_are_killed_and_the_next_daemon_takes_the_files_over() {
    if !can_run() {
        return;
    }
    for mode in MODES {
        let mut daemon = Daemon::start(&["--sandbox", mode]);
        signal(&daemon.roles.companion, Signal::KILL);
        signal(&daemon.roles.supervisor, Signal::KILL);
        daemon.wait();
        daemon.wait_for_processes();
        assert_eq!(daemon.place.left_over().len(), 2, "socket and pid file");
        let mut next = Guarded::spawn(&mut daemon.place.command(&["--sandbox", mode]));
        let pid = format!("{}\n", next.group());
        wait_for("the new daemon's pid file", || {
            let text = fs::read_to_string(daemon.place.pid_file()).ok()?;
            (text == pid).then_some(())
        });
        // The old socket is there until then, and no process listens on it.
        let vmm = wait_for("the new daemon to listen", || {
            UnixStream::connect(daemon.place.socket()).ok()
        });
        drop(vmm);
        let status = next.wait();
        assert_eq!(status.code(), Some(0), "{}", daemon.place.logged());
        daemon.wait_until_gone();
    }
}

#[test]
fn a_killed_daemon_can_be_started_again_at_once() {
    if !can_run() {
        return;
    }
    let mut daemon = Daemon::start(&[]);
    signal(&daemon.roles.supervisor, Signal::KILL);
    daemon.wait();
    let options: [&str; 0] = [];
    let mut next = Guarded::spawn(&mut daemon.place.command(&options));
    let pid = format!("{}\n", next.group());
    wait_for("the new daemon's files", || {
        let named = fs::read_to_string(daemon.place.pid_file()).ok()? == pid;
        (named && daemon.place.socket().exists()).then_some(())
    });
    drop(UnixStream::connect(daemon.place.socket()).unwrap());
    let status = next.wait();
    assert_eq!(status.code(), Some(0), "{}", daemon.place.logged());
    daemon.wait_until_gone();
}

/// A daemon that is handed a socket that no other process keeps.
fn with_inherited_socket(place: &Place, options: &[&str]) -> Guarded {
    let listener = UnixListener::bind(place.socket()).unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let log = place.share().with_file_name("log");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
    let mut command = bare_command(&log);
    command.arg("--shared-dir").arg(place.share()).args(options);
    Guarded::spawn(command.arg(format!("--fd={fd}")))
}

/// A client that comes while another one is served. It is refused, or hung up on if it was quicker
/// than the daemon; it does not wait.
fn expect_refusal(place: &Place, mode: &str) {
    let mut client = match UnixStream::connect(place.socket()) {
        Err(error) => return assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{mode}"),
        Ok(client) => client,
    };
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    match client.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("{mode}: a client that is not served was left to wait: {other:?}"),
    }
    let refused = UnixStream::connect(place.socket()).expect_err("no one listens");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{mode}");
}

#[test]
fn a_second_client_is_refused_and_does_not_wait() {
    if !can_run() {
        return;
    }
    for mode in MODES {
        for options in [
            &["--sandbox", mode][..],
            &["--sandbox", mode, "--dax-window=0"],
        ] {
            let place = Place::new();
            let mut inherited = with_inherited_socket(&place, options);
            let first = UnixStream::connect(place.socket()).unwrap();
            expect_refusal(&place, mode);
            drop(first);
            assert_eq!(inherited.wait().code(), Some(0), "{}", place.logged());

            let mut created = Daemon::start(options);
            let first = UnixStream::connect(created.place.socket()).unwrap();
            expect_refusal(&created.place, mode);
            drop(first);
            assert_eq!(created.wait().code(), Some(0));
        }
    }
}

/// A daemon whose process can't be seen from here, as one in another container.
fn locked_by_an_unseen_process(place: &Place, text: &str) -> File {
    fs::write(place.pid_file(), text).unwrap();
    let holder = File::open(place.pid_file()).unwrap();
    flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
    holder
}

#[test]
fn a_daemon_of_another_process_namespace_is_not_waited_for_for_ever() {
    if !can_run() {
        return;
    }
    let texts = [("4000000\n", "process 4000000"), ("", "an unknown process")];
    // Both wait at the same time.
    let begun = texts.map(|(text, named)| {
        let place = Place::new();
        let holder = locked_by_an_unseen_process(&place, text);
        let options: [&str; 0] = [];
        let child = Guarded::spawn(&mut place.command(&options));
        (place, holder, child, named)
    });
    for (place, holder, mut child, named) in begun {
        assert_eq!(child.wait().code(), Some(1), "{named}");
        let log = place.logged();
        assert!(log.contains(&format!("is locked by {named}")), "{log}");
        child.wait_for_group();
        assert_eq!(place.left_over(), [place.pid_file()], "the other one's");
        drop(holder);
    }
}

#[test]
fn a_daemon_that_waits_for_another_one_s_lock_can_be_asked_to_stop() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let holder = locked_by_an_unseen_process(&place, "4000000\n");
    let options: [&str; 0] = [];
    let mut child = Guarded::spawn(&mut place.command(&options));
    wait_for("the daemon to say what it waits for", || {
        place.logged().contains("waiting for").then_some(())
    });
    let supervisor = Pid::from_raw(child.group()).unwrap();
    kill_process(supervisor, Signal::TERM).unwrap();
    assert_eq!(child.wait().code(), Some(0), "{}", place.logged());
    child.wait_for_group();
    drop(holder);
}

#[test]
fn an_inherited_socket_is_served_and_left_alone() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let mut child = with_inherited_socket(&place, &[]);
    drop(UnixStream::connect(place.socket()).unwrap());
    let status = child.wait();
    assert_eq!(status.code(), Some(0), "{}", place.logged());
    assert_eq!(
        place.left_over(),
        [place.socket()],
        "it isn't the daemon's to remove"
    );
}
