// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Commands on pipes, from the client's call to the process and back.

use crate::local::{TIME_OUT, agent, within};
use guest_agent::wire::Errno;
use qemu_guest::vm::agent::{AgentError, ExecRequest, ExitStatus, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes that are no text and have no short period.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn sh(script: &str) -> ExecRequest {
    ExecRequest::new(["sh", "-c", script])
}

#[tokio::test]
async fn megabytes_pass_through_intact() {
    let (agent, _process) = agent().await;
    let input = noise(10 * 1024 * 1024 + 7);
    let output = agent
        .run_within(TIME_OUT, ExecRequest::new(["cat"]), &input)
        .await
        .unwrap();
    assert!(output.status.success());
    assert!(output.stdout == input, "the bytes changed on their way");
    assert!(output.stderr.is_empty());
}

#[tokio::test]
async fn output_and_error_stay_apart() {
    let (agent, _process) = agent().await;
    let output = agent.run(["sh", "-c", "echo out; echo err >&2"]).await;
    let output = output.unwrap();
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let (agent, _process) = agent().await;
    for (script, status, code) in [
        ("exit 0", ExitStatus::Exited(0), 0),
        ("exit 7", ExitStatus::Exited(7), 7),
        ("exit 255", ExitStatus::Exited(255), 255),
        ("kill -TERM $$", ExitStatus::Signaled(Signal::TERM), 143),
        ("kill -KILL $$", ExitStatus::Signaled(Signal::KILL), 137),
    ] {
        let output = agent.run(["sh", "-c", script]).await.unwrap();
        assert_eq!(output.status, status, "{script}");
        assert_eq!(output.status.shell_code(), code, "{script}");
    }
}

#[tokio::test]
async fn an_error_names_the_command_and_what_it_said() {
    let (agent, _process) = agent().await;
    let error = agent.check(["sh", "-c", "echo no such luck >&2; exit 3"]);
    assert_eq!(
        error.await.unwrap_err().to_string(),
        "sh -c 'echo no such luck >&2; exit 3' in the guest: exit status 3; it said: no such luck"
    );
}

#[tokio::test]
async fn a_missing_program_is_refused_with_its_errno() {
    let (agent, _process) = agent().await;
    match agent.run(["/no/such/program"]).await {
        Err(AgentError::Refused { doing, source }) => {
            assert_eq!(doing, "the start of /no/such/program");
            assert_eq!(source.errno, Some(Errno(2)));
        }
        other => panic!("not refused: {other:?}"),
    }
    // The failed start's process has been reaped, and nothing else suffers.
    assert!(agent.run(["true"]).await.unwrap().status.success());
}

#[tokio::test]
async fn environment_and_directory_are_the_asked_ones() {
    let (agent, _process) = agent().await;
    let request = sh("echo $HOME:$TERM:$A; pwd").env("A", "x y").cwd("/usr");
    let output = agent.run_within(TIME_OUT, request, &[]).await.unwrap();
    assert_eq!(output.stdout_text(), "/root:linux:x y\n/usr");
}

#[tokio::test]
async fn input_ends_when_it_is_dropped_or_was_never_there() {
    let (agent, _process) = agent().await;
    assert_eq!(agent.run(["wc", "-c"]).await.unwrap().stdout_text(), "0");
    let piped = ExecRequest::new(["wc", "-c"]).piped_stdin();
    let mut running = agent.exec(piped).await.unwrap();
    running
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"four")
        .await
        .unwrap();
    let output = within("wc", running.finish(b"five5")).await.unwrap();
    assert_eq!(output.stdout_text(), "9");
}

#[tokio::test]
async fn a_command_that_reads_nothing_gives_a_broken_pipe() {
    let (agent, _process) = agent().await;
    let mut running = agent
        .exec(sh("exec <&-; sleep 1000").piped_stdin())
        .await
        .unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let endless = async { while stdin.write_all(&[0; 4096]).await.is_ok() {} };
    within("the write to a closed input to fail", endless).await;
}

#[tokio::test]
async fn a_stream_without_a_reader_stops_no_other() {
    let (agent, _process) = agent().await;
    // Floods both of its outputs, and its input, which it doesn't read, is flooded too.
    let flood = sh("yes >&2 & yes; wait").piped_stdin();
    let mut flooding = agent.exec(flood).await.unwrap();
    let mut stdin = flooding.stdin.take().unwrap();
    let flooder = tokio::spawn(async move { while stdin.write_all(&[0; 65536]).await.is_ok() {} });
    let input = noise(1024 * 1024);
    let output = agent
        .run_within(TIME_OUT, ExecRequest::new(["cat"]), &input)
        .await
        .unwrap();
    assert!(output.stdout == input);
    assert!(!flooder.is_finished(), "credit for input that is not read");
    // And it all goes on once it is read.
    let mut stderr = flooding.stderr.take().unwrap();
    let mut megabytes = vec![0; 4 * 1024 * 1024];
    within("the flood", stderr.read_exact(&mut megabytes))
        .await
        .unwrap();
    assert!(megabytes.chunks(2).all(|pair| pair == b"y\n"));
    drop(flooding);
    within("the flooded input to break", flooder).await.unwrap();
}

#[tokio::test]
async fn a_closed_output_is_a_broken_pipe_there() {
    let (agent, _process) = agent().await;
    let mut running = agent.exec(ExecRequest::new(["yes"])).await.unwrap();
    running.stdout = None;
    let status = within("yes to get SIGPIPE", running.wait()).await.unwrap();
    assert_eq!(status, ExitStatus::Signaled(Signal::PIPE));
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let (agent, _process) = agent().await;
    let request = sh("sleep 1000 & echo $!; wait");
    let mut running = agent.exec(request).await.unwrap();
    let mut stdout = running.stdout.take().unwrap();
    let pid = within("the child's number", stdout.chunk()).await.unwrap();
    let pid = String::from_utf8(pid.unwrap()).unwrap();
    let child = format!("/proc/{}/cmdline", pid.trim());
    running.signal(Signal::TERM);
    let status = within("the signalled command", running.wait()).await;
    assert_eq!(status.unwrap(), ExitStatus::Signaled(Signal::TERM));
    assert_eq!(stdout.chunk().await.unwrap(), None);
    // Its parent has gone without reaping it: it is a zombie, without a command line, or gone.
    let gone = async { while !agent.read_file(&child).await.unwrap_or_default().is_empty() {} };
    within("the child to be killed, too", gone).await;
}

#[tokio::test]
async fn dropping_a_command_kills_it() {
    let (agent, _process) = agent().await;
    let running = agent
        .exec(ExecRequest::new(["sleep", "1000"]))
        .await
        .unwrap();
    let proc = format!("/proc/{}", running.pid().0);
    assert!(agent.stat(&proc).await.is_ok());
    drop(running);
    let gone = async { while agent.stat(&proc).await.is_ok() {} };
    within("the dropped command's process to go", gone).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_does_not_keep_it() {
    let (agent, _process) = agent().await;
    let output = agent.run(["sh", "-c", "sleep 1000 & echo left $!"]);
    let output = within("the command, not its child", output).await.unwrap();
    let pid = output.stdout_text().replace("left ", "");
    agent.check(["kill", "-9", &pid]).await.unwrap();
    // Not even one that never stops writing.
    let output = agent.run(["sh", "-c", "yes & exit 0"]);
    assert!(
        within("the command, not its child", output)
            .await
            .unwrap()
            .status
            .success()
    );
}

#[tokio::test]
async fn all_that_was_written_before_the_end_arrives() {
    let (agent, _process) = agent().await;
    // As much as a pipe takes, so that the writer can end before a byte is read.
    for _ in 0..50 {
        let output = agent.run(["sh", "-c", "head -c 65536 /dev/zero; exit 1"]);
        assert_eq!(output.await.unwrap().stdout.len(), 65536);
    }
}

#[tokio::test]
async fn a_time_limit_kills_and_names_the_command() {
    let (agent, _process) = agent().await;
    let limit = std::time::Duration::from_millis(50);
    let request = ExecRequest::new(["sleep", "1000"]);
    let error = agent.run_within(limit, request, &[]).await.unwrap_err();
    assert!(matches!(error, AgentError::TimedOut { .. }), "{error}");
    assert!(
        error.to_string().contains("the end of sleep 1000"),
        "{error}"
    );
}
