// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab top` on a terminal and in a pipe, with a server in place of a daemon.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// How long each step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition without a notification.
const PAUSE: Duration = Duration::from_millis(5);
/// The escape sequence that makes a terminal show its earlier content again.
const LEAVES_SCREEN: &str = "\u{1b}[?1049l";

/// Answers each request with the documentation's example, as long as the tests run.
fn daemon() -> SocketAddr {
    let manual = include_str!("../../../daemon/docs/metrics.md");
    let (_, rest) = manual.split_once("```json\n").unwrap();
    let json = rest.split_once("```").unwrap().0;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", json.len());
            // A client that has disconnected does not need the answer.
            let _ = asked.and_then(|_| stream.write_all((head + json).as_bytes()));
        }
    });
    address
}

/// `daxlab top` on a terminal of 80 by 24.
struct Terminal {
    screen: File,
    line: OwnedFd,
    child: Child,
    shown: String,
}

impl Terminal {
    fn start(address: SocketAddr) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = name.into_string().unwrap();
        let line: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap()
            .into();
        fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
        let mut terminal = Self {
            screen: master.into(),
            child: Command::new("setsid")
                .arg("--ctty")
                .args([env!("CARGO_BIN_EXE_daxlab"), "top", &address.to_string()])
                .env("TERM", "xterm")
                .stdin(line.try_clone().unwrap())
                .stdout(line.try_clone().unwrap())
                .stderr(line.try_clone().unwrap())
                .spawn()
                .unwrap(),
            line,
            shown: String::new(),
        };
        terminal.resize(80, 24);
        terminal
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.screen, size).unwrap();
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.screen.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => self.shown += &String::from_utf8_lossy(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn wait_for<T>(&mut self, what: &str, mut seen: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read();
            if let Some(seen) = seen(self) {
                return seen;
            }
            let shown = &self.shown;
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}: {shown:?}"
            );
            thread::sleep(PAUSE);
        }
    }

    fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |terminal| {
            words(&terminal.shown).contains(text).then_some(())
        });
    }

    fn wait(&mut self) -> ExitStatus {
        self.wait_for("its end", |terminal| terminal.child.try_wait().unwrap())
    }

    fn modes(&self) -> (u32, u32, u32) {
        let modes = tcgetattr(&self.line).unwrap();
        let (input, output) = (modes.input_modes.bits(), modes.output_modes.bits());
        (input, output, modes.local_modes.bits())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text that is written, with one space for each sequence that moves the cursor or changes the
/// style. A space that is already on the screen is not written, but skipped.
fn words(shown: &str) -> String {
    let pieces = shown.split('\u{1b}').enumerate().map(|(number, piece)| {
        let sequence = piece.find(|c: char| c.is_ascii_alphabetic());
        match (number, sequence) {
            (0, _) => piece,
            (_, Some(end)) => &piece[end + 1..],
            (_, None) => "",
        }
    });
    let text: Vec<_> = pieces.collect();
    let words: Vec<_> = text
        .iter()
        .flat_map(|piece| piece.split_whitespace())
        .collect();
    words.join(" ")
}

#[test]
fn the_terminal_is_as_it_was_whatever_ends_it() {
    let address = daemon();
    let ends: [fn(&mut Terminal); 4] = [
        |terminal| terminal.screen.write_all(b"q").unwrap(),
        |terminal| terminal.screen.write_all(b"\x1b").unwrap(),
        |terminal| terminal.screen.write_all(b"\x03").unwrap(),
        |terminal| {
            let child = Pid::from_child(&terminal.child);
            kill_process(child, Signal::TERM).unwrap();
        },
    ];
    for end in ends {
        let mut terminal = Terminal::start(address);
        let before = terminal.modes();
        terminal.wait_for_text("window 256 MiB:");
        terminal.wait_for_text("/dir/file");
        assert_ne!(
            terminal.modes(),
            before,
            "it takes the terminal while it runs"
        );
        end(&mut terminal);
        assert_eq!(terminal.wait().code(), Some(0), "{:?}", terminal.shown);
        assert_eq!(terminal.modes(), before);
        assert!(
            terminal.shown.contains(LEAVES_SCREEN),
            "{:?}",
            terminal.shown
        );
    }
}

#[test]
fn it_follows_the_terminal_s_size() {
    let mut terminal = Terminal::start(daemon());
    terminal.wait_for_text("128 ranges, a letter for each file");
    terminal.shown.clear();
    terminal.resize(120, 40);
    // The whole screen is drawn anew, down to the last line.
    terminal.wait_for_text("128 ranges, a letter for each file");
    terminal.wait_for("line 40", |terminal| {
        terminal.shown.contains("\u{1b}[40;").then_some(())
    });
}

fn top(words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daxlab"));
    command.arg("top").args(words).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn in_a_pipe_it_is_one_plain_report() {
    let address = daemon().to_string();
    for words in [&[address.as_str()][..], &[&address, "--once"]] {
        let output = top(words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(
            text.contains("window 256 MiB") && text.contains("/dir/file"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn without_a_daemon_it_says_so_in_one_sentence() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for address in [free.to_string(), "/no/such/socket".to_owned()] {
        let output = top(&[&address]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains(&format!("start it with --metrics {address}")),
            "{said}"
        );
        assert!(output.stdout.is_empty());
    }
}
