// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's end of the guest's program.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dax_reclaim::work::{Answer, Counts, Gave, Order, Ran};
use guest_vm::agent::{Agent, ExecRequest, OutputStream, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::time::timeout;

use crate::guests::PROGRAM;

/// How long an order may take, under emulation on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(180);

/// The program, running in a guest. Dropping it kills it.
pub struct GuestClient {
    running: Running,
    answers: Lines<BufReader<OutputStream>>,
}

impl GuestClient {
    /// Starts it.
    pub async fn start(agent: &Agent) -> Result<Self> {
        let request = ExecRequest::new([PROGRAM]).piped_stdin().cwd("/");
        let mut running = agent.exec(request).await?;
        let answers = running.stdout.take().expect("it has a standard output");
        Ok(Self {
            running,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Has it do something that gives nothing.
    pub async fn order(&mut self, order: &Order) -> Result<()> {
        self.ask(order).await.map(drop)
    }

    /// Has it run what is prepared.
    pub async fn run(&mut self, limit: Duration) -> Result<Ran> {
        let limit_ms = limit.as_millis() as u64;
        match self.ask(&Order::Run { limit_ms }).await? {
            Gave::Ran(ran) => Ok(ran),
            other => bail!("the guest's program answered {other:?} to an order to run"),
        }
    }

    /// What the guest's driver has done since [`Order::Trace`]; none where the kernel can't tell.
    pub async fn counts(&mut self) -> Result<Option<Counts>> {
        match self.ask(&Order::Counts).await? {
            Gave::Counts(counts) => Ok(counts),
            other => bail!("the guest's program answered {other:?} to an order to count"),
        }
    }

    async fn ask(&mut self, order: &Order) -> Result<Gave> {
        let line = serde_json::to_string(order).expect("orders are plain data");
        let asked = timeout(ANSWER_DEADLINE, self.ask_and_wait(&line)).await;
        let asked = asked.unwrap_or_else(|_elapsed| {
            bail!("timed out after {ANSWER_DEADLINE:?} waiting for the guest's program")
        });
        asked.with_context(|| format!("the guest's program was ordered: {line}"))
    }

    async fn ask_and_wait(&mut self, line: &str) -> Result<Gave> {
        let stdin = self.running.stdin.as_mut();
        let stdin = stdin.expect("it has a standard input");
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        stdin.flush().await?;
        let Some(answer) = self.answers.next_line().await? else {
            bail!("it ended ({})", self.running.wait().await?);
        };
        match serde_json::from_str(&answer) {
            Ok(Answer { outcome: Ok(gave) }) => Ok(gave),
            // It could not do what it was to do, or found something wrong.
            Ok(Answer { outcome: Err(said) }) => bail!(said),
            Err(_) => bail!("it answered {answer:?}"),
        }
    }
}
