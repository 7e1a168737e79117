// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A small client of QEMU's control protocol (QMP): one command at a time. Events are kept until
//! they are asked for.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How long QEMU may take to answer a command. It answers at once unless its main loop hangs.
const REPLY_DEADLINE: Duration = Duration::from_secs(60);
/// Beyond this many, the oldest events that were not asked for are dropped.
const EVENTS_KEPT: usize = 256;

/// Why a command had no result.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum QmpError {
    /// The connection failed.
    #[error("QMP `{command}`: connection failed")]
    Io { command: String, source: io::Error },
    /// QEMU closed the connection.
    #[error("QMP `{command}`: QEMU closed the connection")]
    Closed { command: String },
    /// QEMU sent something that is no JSON.
    #[error("QMP `{command}`: answer is not JSON: {text}")]
    Syntax {
        command: String,
        text: String,
        source: serde_json::Error,
    },
    /// QEMU refused the command.
    #[error("QMP `{command}`: refused: {reason}")]
    Refused { command: String, reason: String },
    /// No answer came in time.
    #[error("QMP `{command}`: no answer in {deadline:?}")]
    Late { command: String, deadline: Duration },
}

/// A connection in command mode.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Takes QEMU's greeting and enters command mode.
    pub async fn handshake(stream: UnixStream) -> Result<Self, QmpError> {
        let (read, write) = stream.into_split();
        let mut qmp = Self {
            lines: BufReader::new(read).lines(),
            write,
            events: VecDeque::new(),
        };
        within(REPLY_DEADLINE, "greeting", qmp.next("greeting")).await?;
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs a command and returns its result.
    pub async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        within(REPLY_DEADLINE, command, self.exchange(command, arguments)).await
    }

    /// Waits for an event of this name (such as `STOP` or `RESET`) and returns its data. An event
    /// since the last call counts.
    pub async fn event(&mut self, name: &str, deadline: Duration) -> Result<Value, QmpError> {
        within(deadline, name, self.next_event(name)).await
    }

    /// Ends QEMU.
    pub async fn quit(&mut self) -> Result<(), QmpError> {
        match self.execute("quit", json!({})).await {
            // QEMU may end before it has sent its answer.
            Ok(_) | Err(QmpError::Closed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Resets the machine, as a reset button does.
    pub async fn system_reset(&mut self) -> Result<(), QmpError> {
        self.execute("system_reset", json!({})).await.map(drop)
    }

    /// Presses the power button; the guest decides what to do.
    pub async fn system_powerdown(&mut self) -> Result<(), QmpError> {
        self.execute("system_powerdown", json!({})).await.map(drop)
    }

    /// Stops the guest's CPUs.
    pub async fn stop(&mut self) -> Result<(), QmpError> {
        self.execute("stop", json!({})).await.map(drop)
    }

    /// Lets the guest's CPUs run on.
    pub async fn cont(&mut self) -> Result<(), QmpError> {
        self.execute("cont", json!({})).await.map(drop)
    }

    /// The machine's state: `running`, `paused`, …
    pub async fn status(&mut self) -> Result<String, QmpError> {
        let reply = self.execute("query-status", json!({})).await?;
        Ok(reply["status"].as_str().unwrap_or_default().to_owned())
    }

    /// The output of QEMU's human monitor for `line` (such as `info mtree -f`).
    pub async fn monitor(&mut self, line: &str) -> Result<String, QmpError> {
        let arguments = json!({ "command-line": line });
        let reply = self.execute("human-monitor-command", arguments).await?;
        Ok(reply.as_str().unwrap_or_default().to_owned())
    }

    /// Starts a migration to `uri` (such as `file:/path`).
    pub async fn migrate(&mut self, uri: &str) -> Result<(), QmpError> {
        self.execute("migrate", json!({ "uri": uri }))
            .await
            .map(drop)
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        let sent = self.write.write_all(line.as_bytes()).await;
        sent.map_err(|source| failed(command, source))?;
        loop {
            let mut message = self.next(command).await?;
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = message.get("error") {
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    reason: error["desc"]
                        .as_str()
                        .unwrap_or("no reason given")
                        .to_owned(),
                });
            }
            self.keep_event(message);
        }
    }

    async fn next_event(&mut self, name: &str) -> Result<Value, QmpError> {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
                let mut event = self.events.remove(at).unwrap_or_default();
                return Ok(event["data"].take());
            }
            let message = self.next(name).await?;
            self.keep_event(message);
        }
    }

    fn keep_event(&mut self, message: Value) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(message);
    }

    async fn next(&mut self, command: &str) -> Result<Value, QmpError> {
        let line = self.lines.next_line().await;
        let line = line.map_err(|source| failed(command, source))?;
        let text = line.ok_or_else(|| QmpError::Closed {
            command: command.to_owned(),
        })?;
        serde_json::from_str(&text).map_err(|source| QmpError::Syntax {
            command: command.to_owned(),
            text,
            source,
        })
    }
}

fn failed(command: &str, source: io::Error) -> QmpError {
    let command = command.to_owned();
    match source.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => QmpError::Closed { command },
        _ => QmpError::Io { command, source },
    }
}

async fn within<T>(
    deadline: Duration,
    command: &str,
    answer: impl Future<Output = Result<T, QmpError>>,
) -> Result<T, QmpError> {
    let late = |_elapsed| QmpError::Late {
        command: command.to_owned(),
        deadline,
    };
    tokio::time::timeout(deadline, answer).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that sends the lines of `script`: one as greeting, then one or more for each command.
    async fn fake(script: &'static [&'static [&'static str]]) -> Result<Qmp, QmpError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let (read, mut write) = theirs.into_split();
            let mut commands = BufReader::new(read).lines();
            for answer in script {
                for line in *answer {
                    write
                        .write_all(format!("{line}\n").as_bytes())
                        .await
                        .unwrap();
                }
                commands.next_line().await.unwrap();
            }
        });
        Qmp::handshake(ours).await
    }

    #[tokio::test]
    async fn answers_and_events_are_told_apart() {
        let mut qmp = fake(&[
            &[r#"{"QMP": {}}"#],
            &[r#"{"return": {}}"#],
            &[
                r#"{"event": "STOP", "data": {"n": 1}}"#,
                r#"{"return": {"status": "paused"}}"#,
            ],
            &[],
        ])
        .await
        .unwrap();
        assert_eq!(qmp.status().await.unwrap(), "paused");
        assert_eq!(qmp.event("STOP", REPLY_DEADLINE).await.unwrap()["n"], 1);
    }

    #[tokio::test]
    async fn a_refusal_names_the_command_and_the_reason() {
        let mut qmp = fake(&[
            &[r#"{"QMP": {}}"#],
            &[r#"{"return": {}}"#],
            &[r#"{"error": {"class": "GenericError", "desc": "not now"}}"#],
            &[],
        ])
        .await
        .unwrap();
        let error = qmp.migrate("file:/x").await.unwrap_err();
        assert_eq!(error.to_string(), "QMP `migrate`: refused: not now");
    }

    #[tokio::test]
    async fn a_closed_connection_is_an_error_except_after_quit() {
        let script: &[&[&str]] = &[&[r#"{"QMP": {}}"#], &[r#"{"return": {}}"#]];
        let mut qmp = fake(script).await.unwrap();
        assert!(matches!(qmp.stop().await, Err(QmpError::Closed { .. })));
        qmp.quit().await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_event_is_named() {
        let mut qmp = fake(&[&[r#"{"QMP": {}}"#], &[r#"{"return": {}}"#], &[]])
            .await
            .unwrap();
        let error = qmp
            .event("RESET", Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("RESET"), "{error}");
    }
}
