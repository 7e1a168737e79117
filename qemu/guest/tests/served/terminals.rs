// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Commands on a terminal of their own: size, job control, end of input.

use crate::local::{agent, within};
use qemu_guest::vm::agent::{ExecRequest, ExitStatus, OutputStream, Running, Stdin, TtySize};
use tokio::io::AsyncWriteExt;

const SIZE: TtySize = TtySize {
    rows: 33,
    columns: 99,
};

/// A shell on a terminal, driven as by a person: by typing, and by waiting for what it shows.
struct Session {
    running: Running,
    keys: Stdin,
    screen: OutputStream,
    shown: String,
}

impl Session {
    async fn start(agent: &qemu_guest::vm::agent::Agent, argv: &[&str]) -> Self {
        let request = ExecRequest::new(argv.iter().copied())
            .tty(SIZE)
            .env("PS1", "ready> ");
        let mut running = agent.exec(request).await.unwrap();
        Self {
            keys: running.stdin.take().unwrap(),
            screen: running.stdout.take().unwrap(),
            running,
            shown: String::new(),
        }
    }

    async fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Waits until the terminal shows `text`, and forgets all up to there.
    async fn see(&mut self, text: &str) {
        let shown = async {
            while !self.shown.contains(text) {
                let chunk = self.screen.chunk().await.unwrap();
                let chunk = chunk.unwrap_or_else(|| panic!("no {text:?} in {:?}", self.shown));
                self.shown.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        within(text, shown).await;
        let end = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..end);
    }

    async fn end(mut self) -> ExitStatus {
        let drain = async { while self.screen.chunk().await.unwrap().is_some() {} };
        within("the end of the output", drain).await;
        within("the session's end", self.running.wait())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_terminal_has_the_size_and_follows_it() {
    let (agent, _process) = agent().await;
    let script = "stty size; trap 'stty size; exit 4' WINCH; echo set; read word";
    let mut session = Session::start(&agent, &["sh", "-c", script]).await;
    session.see("33 99\r\n").await;
    session.see("set").await;
    session.running.resize(TtySize {
        rows: 20,
        columns: 50,
    });
    session.see("20 50\r\n").await;
    assert_eq!(session.end().await, ExitStatus::Exited(4));
}

#[tokio::test]
async fn ctrl_c_ends_the_foreground_job_and_not_the_shell() {
    let (agent, _process) = agent().await;
    let mut session = Session::start(&agent, &["sh", "-i"]).await;
    session.see("ready> ").await;
    // A builtin waits: dash loses a signal that comes between its word and the start of a program.
    session.type_in("sh -c 'echo run''ning; read word'\n").await;
    session.see("running\r\n").await;
    session.type_in("\x03").await;
    session.see("ready> ").await;
    session.type_in("echo stat''us $?\n").await;
    session.see("status 130").await;
    session.type_in("exit 5\n").await;
    assert_eq!(session.end().await, ExitStatus::Exited(5));
}

#[tokio::test]
async fn ctrl_z_stops_a_job_that_fg_brings_back() {
    let (agent, _process) = agent().await;
    let mut session = Session::start(&agent, &["sh", "-i"]).await;
    session.see("ready> ").await;
    session
        .type_in("sh -c 'echo run''ning; read word; echo got-$word'\n")
        .await;
    session.see("running\r\n").await;
    session.type_in("\x1a").await;
    session.see("ready> ").await;
    session.type_in("fg\n").await;
    session.see("sh -c").await;
    session.type_in("it\n").await;
    session.see("got-it").await;
    session.see("ready> ").await;
    session.type_in("exit\n").await;
    assert_eq!(session.end().await, ExitStatus::Exited(0));
}

#[tokio::test]
async fn the_end_of_input_ends_a_shell() {
    let (agent, _process) = agent().await;
    let mut session = Session::start(&agent, &["sh", "-i"]).await;
    session.see("ready> ").await;
    session.keys.shutdown().await.unwrap();
    assert_eq!(session.end().await, ExitStatus::Exited(0));
}

#[tokio::test]
async fn the_last_words_on_a_terminal_arrive() {
    let (agent, _process) = agent().await;
    for round in 0..50 {
        let script = format!("seq 1 200; echo last {round}");
        let mut session = Session::start(&agent, &["sh", "-c", &script]).await;
        session.see(&format!("last {round}\r\n")).await;
        assert_eq!(session.end().await, ExitStatus::Exited(0));
    }
}
