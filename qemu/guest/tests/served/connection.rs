// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The connection itself: greeting, requests, loss.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use crate::local::{Process, agent, within};
use guest_agent::wire::{Preamble, Version};
use qemu_guest::vm::agent::{Agent, AgentError, ExecRequest, LinkError};

#[tokio::test]
async fn the_agent_tells_where_it_runs() {
    let (agent, _process) = agent().await;
    let uname = agent.check(["uname", "-r"]).await.unwrap();
    assert_eq!(agent.boot().kernel, uname.stdout_text());
    assert!(agent.boot().uptime_ms > 0);
}

#[tokio::test]
async fn the_agent_is_never_silent() {
    let (agent, _process) = agent().await;
    let waited = agent.silence();
    let heard = async {
        while agent.silence() >= waited {
            tokio::task::yield_now().await;
        }
    };
    within("a heartbeat", heard).await;
}

#[tokio::test]
async fn small_files_are_written_and_read() {
    let (agent, _process) = agent().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file").to_str().unwrap().to_owned();
    let content = [0, 255, 10, 13].repeat(10_000);
    agent.write_file(&path, 0o640, &content).await.unwrap();
    assert!(agent.read_file(&path).await.unwrap() == content);
    let stat = agent.stat(&path).await.unwrap();
    assert_eq!(stat.size, content.len() as u64);
    assert_eq!(stat.mode, 0o100_640);
    assert!(!stat.dax());
    let version = agent.read_file("/proc/sys/kernel/osrelease").await.unwrap();
    assert_eq!(
        String::from_utf8(version).unwrap().trim_end(),
        agent.boot().kernel
    );
}

#[tokio::test]
async fn a_refused_request_names_itself_and_the_errno() {
    let (agent, _process) = agent().await;
    let error = agent.umount("/no/such/mount").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the guest reports a failure of umount /no/such/mount"
    );
    match error {
        AgentError::Refused { source, .. } => assert_eq!(source.errno.unwrap().0, 2),
        other => panic!("not refused: {other}"),
    }
    // An agent that is no guest's first process must not power off this machine.
    let refused = agent.power_off().await.unwrap_err();
    assert!(matches!(refused, AgentError::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn losing_the_agent_ends_every_wait() {
    let (agent, mut process) = agent().await;
    let mut running = agent
        .exec(ExecRequest::new(["cat"]).piped_stdin())
        .await
        .unwrap();
    let mut stdout = running.stdout.take().unwrap();
    process.kill();
    let cut = within("the stream to fail", stdout.chunk()).await;
    assert!(
        cut.is_err(),
        "a lost connection looks like the end of the output"
    );
    match within("the command's end", running.wait()).await {
        Err(AgentError::Gone { doing, source }) => {
            assert_eq!(doing, "the end of cat");
            assert!(
                matches!(*source, LinkError::Closed | LinkError::Io(_)),
                "{source}"
            );
        }
        other => panic!("not gone: {other:?}"),
    }
    let error = agent.sync().await.unwrap_err();
    assert!(matches!(error, AgentError::Gone { .. }), "{error}");
}

#[tokio::test]
async fn the_agent_ends_with_its_host_and_leaves_no_command() {
    let (watcher, _watcher_process) = agent().await;
    let (agent, mut process) = agent().await;
    // Ignores what a closing terminal or a polite host would send.
    let script = "trap '' HUP TERM; echo $$; while :; do sleep 1; done";
    let request = ExecRequest::new(["sh", "-c", script]);
    let mut running = agent.exec(request).await.unwrap();
    let started = within(
        "the command's start",
        running.stdout.as_mut().unwrap().chunk(),
    )
    .await;
    assert!(started.unwrap().is_some());
    let command = format!("/proc/{}", running.pid().0);
    assert!(watcher.stat(&command).await.is_ok());
    drop((agent, running));
    assert!(process.ended().await.success());
    let gone = async { while watcher.stat(&command).await.is_ok() {} };
    within("the command to be killed", gone).await;
}

#[tokio::test]
async fn a_guest_of_another_version_is_refused_on_both_sides() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&Preamble::of(Version(999))).unwrap();
    ours.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(ours).unwrap();
    let error = within("the refusal", Agent::connect(stream))
        .await
        .err()
        .unwrap();
    let AgentError::Gone { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(&*source, LinkError::Frame(_)), "{source}");
    // The guest learns the host's version nevertheless.
    let mut answer = [0; Preamble::LEN];
    theirs.read_exact(&mut answer).unwrap();
    assert_eq!(answer, Preamble::bytes());
}

#[tokio::test]
async fn a_host_of_another_version_ends_the_agent() {
    let (mut process, mut ours) = Process::start();
    ours.write_all(&Preamble::of(Version(999))).unwrap();
    assert_eq!(process.ended().await.code(), Some(1));
}
