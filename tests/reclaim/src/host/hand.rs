// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's end of the guest's program.

use std::io;
use std::time::Duration;

use guest_vm::agent::{Agent, AgentError, ExecRequest, ExitStatus, OutputStream, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::time::timeout;

use super::kernel::PROGRAM;
use crate::work::{Answer, Counts, Gave, Order, Ran};

/// How long an order may take, under emulation on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(180);

/// Why the guest's program is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// The guest's agent has failed, or is gone with the guest.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The program has ended.
    #[error("the guest's program ended ({status}) over {order}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it was to do.
        order: String,
    },
    /// It can't be told or heard.
    #[error("no connection to the guest's program")]
    Stream(#[source] io::Error),
    /// No answer.
    #[error("waited {ANSWER_DEADLINE:?} in vain for the guest's program to do {order}")]
    TimedOut {
        /// What it was to do.
        order: String,
    },
    /// The answer is not one.
    #[error("the guest's program answered {line:?} to {order}")]
    Nonsense {
        /// What it was to do.
        order: String,
        /// What it said.
        line: String,
    },
    /// It could not do what it was to do, or found something wrong.
    #[error("{said} (ordered: {order})")]
    Fault {
        /// What it was to do.
        order: String,
        /// Why.
        said: String,
    },
}

/// The program, running in a guest. Dropping it kills it.
pub struct Hand {
    running: Running,
    answers: Lines<BufReader<OutputStream>>,
}

impl Hand {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the guest can't.
    pub async fn start(agent: &Agent) -> Result<Self, HandError> {
        let request = ExecRequest::new([PROGRAM]).piped_stdin().cwd("/");
        let mut running = agent.exec(request).await?;
        let answers = running.stdout.take().expect("it has a standard output");
        Ok(Self {
            running,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Has it do something that gives nothing.
    ///
    /// # Errors
    ///
    /// If it can't, or does not in time.
    pub async fn order(&mut self, order: &Order) -> Result<(), HandError> {
        self.ask(order).await.map(drop)
    }

    /// Has it run what is prepared.
    ///
    /// # Errors
    ///
    /// If it can't, or finds something wrong.
    pub async fn run(&mut self, limit: Duration) -> Result<Ran, HandError> {
        let limit_ms = limit.as_millis() as u64;
        let order = Order::Run { limit_ms };
        match self.ask(&order).await? {
            Gave::Ran(ran) => Ok(ran),
            other => Err(nonsense(&order, format!("{other:?}"))),
        }
    }

    /// What the guest's driver has done since [`Order::Trace`]; none where the kernel can't tell.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn counts(&mut self) -> Result<Option<Counts>, HandError> {
        match self.ask(&Order::Counts).await? {
            Gave::Counts(counts) => Ok(counts),
            other => Err(nonsense(&Order::Counts, format!("{other:?}"))),
        }
    }

    async fn ask(&mut self, order: &Order) -> Result<Gave, HandError> {
        let asked = timeout(ANSWER_DEADLINE, self.ask_and_wait(order)).await;
        asked.unwrap_or_else(|_elapsed| Err(HandError::TimedOut { order: told(order) }))
    }

    async fn ask_and_wait(&mut self, order: &Order) -> Result<Gave, HandError> {
        let mut line = told(order);
        line.push('\n');
        let stdin = self
            .running
            .stdin
            .as_mut()
            .expect("it has a standard input");
        let written = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        written.await.map_err(HandError::Stream)?;
        let answer = self.answers.next_line().await.map_err(HandError::Stream)?;
        let Some(answer) = answer else {
            let status = self.running.wait().await?;
            let order = told(order);
            return Err(HandError::Ended { status, order });
        };
        match serde_json::from_str(&answer) {
            Ok(Answer { outcome: Ok(gave) }) => Ok(gave),
            Ok(Answer { outcome: Err(said) }) => Err(HandError::Fault {
                order: told(order),
                said,
            }),
            Err(_) => Err(nonsense(order, answer)),
        }
    }
}

fn told(order: &Order) -> String {
    serde_json::to_string(order).expect("orders are plain data")
}

fn nonsense(order: &Order, line: String) -> HandError {
    HandError::Nonsense {
        order: told(order),
        line,
    }
}
