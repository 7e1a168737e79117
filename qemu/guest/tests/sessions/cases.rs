// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tests.

use qemu_guest::vm::agent::{
    Agent, CommandOutput, ExecRequest, ExitStatus, OutputStream, Running, Signal, Stdin, TtySize,
};
use tokio::io::AsyncWriteExt;

use crate::{
    SESSION,
    local::{TIME_OUT, agent, within},
    session::FAILED,
};

/// All of them, by name.
pub const CASES: &[(&str, fn())] = &[
    (
        "bytes_pass_both_ways_unchanged",
        bytes_pass_both_ways_unchanged,
    ),
    (
        "status_is_that_of_a_local_command",
        status_is_that_of_a_local_command,
    ),
    ("interrupt_is_passed_on", interrupt_is_passed_on),
    (
        "without_a_reader_it_is_a_broken_pipe",
        without_a_reader_it_is_a_broken_pipe,
    ),
    ("no_terminal_no_shell", no_terminal_no_shell),
    ("terminal_stands_for_this_one", terminal_stands_for_this_one),
    (
        "redirected_output_takes_no_terminal",
        redirected_output_takes_no_terminal,
    ),
    ("keys_belong_to_the_guest", keys_belong_to_the_guest),
    (
        "terminal_is_restored_at_the_end",
        terminal_is_restored_at_the_end,
    ),
    (
        "terminal_is_restored_by_sigterm",
        terminal_is_restored_by_sigterm,
    ),
    (
        "terminal_is_restored_by_sighup",
        terminal_is_restored_by_sighup,
    ),
    (
        "terminal_is_restored_by_a_panic",
        terminal_is_restored_by_a_panic,
    ),
];

const SIZE: TtySize = TtySize {
    rows: 33,
    columns: 99,
};

fn own_path() -> String {
    let path = std::env::current_exe().expect("this program has a path");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The program under test, running `script` in a shell of the agent's.
fn session(kind: &str, script: &str) -> ExecRequest {
    ExecRequest::new([&*own_path(), SESSION, kind, "sh", "-c", script])
}

async fn on_pipes(kind: &str, script: &str, input: &[u8]) -> CommandOutput {
    let (agent, _process) = agent().await;
    let output = agent.run_within(TIME_OUT, session(kind, script), input);
    output.await.unwrap()
}

/// A terminal with the program under test on it.
struct Screen {
    running: Running,
    keys: Stdin,
    output: OutputStream,
    shown: String,
}

impl Screen {
    /// Runs a shell script in which `$0` starts the program under test.
    async fn start(agent: &Agent, script: &str) -> Self {
        let argv = ["sh", "-c", script, &own_path()].map(str::to_owned);
        let request = ExecRequest::new(argv).tty(SIZE).env("TERM", "a-term");
        let mut running = agent.exec(request).await.unwrap();
        Self {
            keys: running.stdin.take().unwrap(),
            output: running.stdout.take().unwrap(),
            running,
            shown: String::new(),
        }
    }

    /// Waits for `text`; gives what was shown before.
    async fn see(&mut self, text: &str) -> String {
        let seen = async {
            while !self.shown.contains(text) {
                let chunk = self.output.chunk().await.unwrap();
                let chunk = chunk.unwrap_or_else(|| panic!("no {text:?} in {:?}", self.shown));
                self.shown.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        within(text, seen).await;
        let start = self.shown.find(text).unwrap();
        let before = self.shown[..start].to_owned();
        self.shown.drain(..start + text.len());
        before
    }

    async fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn bytes_pass_both_ways_unchanged() {
    let input: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let output = on_pipes("command", "echo apart >&2; cat", &input).await;
    assert_eq!(output.status, ExitStatus::Exited(0));
    assert!(output.stdout == input, "the bytes changed on their way");
    assert_eq!(output.stderr, b"apart\n");
}

#[tokio::main(flavor = "current_thread")]
async fn status_is_that_of_a_local_command() {
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143)] {
        let output = on_pipes("command", script, &[]).await;
        assert_eq!(output.status, ExitStatus::Exited(code), "{script}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn interrupt_is_passed_on() {
    let (agent, _process) = agent().await;
    let script = "trap 'echo caught; exit 3' INT; echo set; read word";
    let request = session("command", script).piped_stdin();
    let mut running = agent.exec(request).await.unwrap();
    // Kept, so that the script waits in its `read`. It must not start processes: dash forgets a
    // signal that comes while it does.
    let _stdin = running.stdin.take();
    let mut stdout = running.stdout.take().unwrap();
    let set = within("the trap", stdout.chunk()).await.unwrap().unwrap();
    assert_eq!(set, b"set\n");
    running.signal(Signal::INT);
    let caught = within("the trap's word", stdout.chunk()).await;
    assert_eq!(caught.unwrap().unwrap(), b"caught\n");
    drop(stdout);
    let status = within("the session's end", running.wait()).await.unwrap();
    assert_eq!(status, ExitStatus::Exited(3));
}

#[tokio::main(flavor = "current_thread")]
async fn without_a_reader_it_is_a_broken_pipe() {
    let (agent, _process) = agent().await;
    let mut running = agent.exec(session("command", "exec yes")).await.unwrap();
    running.stdout = None;
    running.stderr = None;
    let status = within("the session's end", running.wait()).await.unwrap();
    assert_eq!(status, ExitStatus::Exited(128 + 13));
}

#[tokio::main(flavor = "current_thread")]
async fn no_terminal_no_shell() {
    let output = on_pipes("shell", "echo not reached", &[]).await;
    assert_eq!(output.status, ExitStatus::Exited(FAILED));
    assert!(output.stderr_text().contains("must be a terminal"));
    assert!(output.stdout.is_empty());
}

#[tokio::main(flavor = "current_thread")]
async fn terminal_stands_for_this_one() {
    let (agent, _process) = agent().await;
    let script = "\"$0\" session command sh -c \
        'stty size; trap \"stty size; exit 4\" WINCH; echo =$TERM=; read word'; \
        echo status $?";
    let mut screen = Screen::start(&agent, script).await;
    screen.see("33 99\r\n").await;
    screen.see("=a-term=\r\n").await;
    screen.running.resize(TtySize {
        rows: 20,
        columns: 50,
    });
    screen.see("20 50\r\n").await;
    screen.see("status 4\r\n").await;
}

#[tokio::main(flavor = "current_thread")]
async fn redirected_output_takes_no_terminal() {
    let (agent, _process) = agent().await;
    let script = "\"$0\" session command sh -c 'test -t 1; echo $?' | cat; echo end";
    let mut screen = Screen::start(&agent, script).await;
    assert_eq!(screen.see("end").await, "1\r\n");
}

#[tokio::main(flavor = "current_thread")]
async fn keys_belong_to_the_guest() {
    let (agent, _process) = agent().await;
    let script = "PS1='outer' \"$0\" session shell sh -i; echo status $?";
    let mut screen = Screen::start(&agent, script).await;
    screen.type_in("PS1=gue''st'> '\n").await;
    screen.see("guest> ").await;
    // A builtin waits: dash loses a signal that comes between its word and the start of a program.
    screen.type_in("sh -c 'echo run''ning; read word'\n").await;
    screen.see("running\r\n").await;
    screen.type_in("\x03").await;
    // What is typed before the prompt is back may still go to the command.
    screen.see("guest> ").await;
    screen.type_in("echo in''ner $?\n").await;
    screen.see("inner 130").await;
    screen.type_in("exit 6\n").await;
    screen.see("status 6\r\n").await;
}

#[tokio::main(flavor = "current_thread")]
async fn terminal_is_restored_at_the_end() {
    let (agent, _process) = agent().await;
    let script = "stty -g; echo a-mode; \"$0\" session shell true; stty -g; echo b-mode";
    let mut screen = Screen::start(&agent, script).await;
    let before = screen.see("a-mode\r\n").await;
    assert_eq!(screen.see("b-mode").await, before);
}

#[tokio::main(flavor = "current_thread")]
async fn terminal_is_restored_by_sigterm() {
    let shown = restored_after("TERM").await;
    assert!(shown.contains("session: ended by SIGTERM\r\n"), "{shown:?}");
}

#[tokio::main(flavor = "current_thread")]
async fn terminal_is_restored_by_sighup() {
    let shown = restored_after("HUP").await;
    assert!(shown.contains("session: ended by SIGHUP\r\n"), "{shown:?}");
}

#[tokio::main(flavor = "current_thread")]
async fn terminal_is_restored_by_a_panic() {
    let shown = restored_after("USR1").await;
    // Its lines are broken as on a terminal that is not raw.
    assert!(shown.contains("as the test wants it\r\n"), "{shown:?}");
}

/// Signals a session that has the terminal; gives what was shown from then on.
async fn restored_after(signal: &str) -> String {
    let (agent, _process) = agent().await;
    let script = "stty -g; echo a-mode; \
        sh -c 'echo pid $$ here; exec \"$0\" session shell sh -c \"stty -echo; echo up; cat\"' \"$0\"; \
        echo b-mode; stty -g; echo c-mode";
    let mut screen = Screen::start(&agent, script).await;
    let before = screen.see("a-mode\r\n").await;
    screen.see("pid ").await;
    let pid = screen.see(" here").await;
    screen.see("up\r\n").await;
    // Once this comes back it has been through the raw terminal.
    screen.type_in("echoed\n").await;
    screen.see("echoed\r\n").await;
    agent.check(["kill", "-s", signal, &pid]).await.unwrap();
    let shown = screen.see("b-mode\r\n").await;
    assert_eq!(screen.see("c-mode").await, before);
    shown
}
