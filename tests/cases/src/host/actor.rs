// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's end of an actor.

use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use guest_vm::agent::{Agent, AgentError, ExecRequest, ExitStatus, OutputStream, Running, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::time::timeout;

use crate::actor::{Answer, Fault, Span, Verb, order};

/// Where the guest has the program.
pub(super) const PROGRAM: &str = "/bin/guest-actor";

/// How long an order may take that waits for nobody, under emulation on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);

/// How long a killed process may take to be gone.
const END_DEADLINE: Duration = Duration::from_secs(20);

/// Why an actor is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// The guest's agent has failed, or is gone with the guest.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The actor has ended.
    #[error("the {actor} ended ({status}) over {order}")]
    Ended {
        /// Who.
        actor: &'static str,
        /// How.
        status: ExitStatus,
        /// What it was to do.
        order: String,
    },
    /// The actor can't be told or heard.
    #[error("no connection to the {actor}")]
    Stream {
        /// Who.
        actor: &'static str,
        /// What the connection said.
        source: io::Error,
    },
    /// No answer.
    #[error("waited {limit:?} in vain for the {actor} to do {order}")]
    TimedOut {
        /// Who.
        actor: &'static str,
        /// What it was to do.
        order: String,
        /// How long.
        limit: Duration,
    },
    /// The answer is not one.
    #[error("the {actor} answered nonsense: {line}")]
    Nonsense {
        /// Who.
        actor: &'static str,
        /// What it said.
        line: String,
        /// Why that is no answer.
        source: serde_json::Error,
    },
    /// It could not do what it was to do.
    #[error("the {actor} failed")]
    Fault {
        /// Who.
        actor: &'static str,
        /// Why.
        source: Fault,
    },
}

/// A process in the guest that does what it is told. Dropping it kills it.
pub struct Actor {
    name: &'static str,
    running: Running,
    answers: Lines<BufReader<OutputStream>>,
}

/// An order that has been given and not been answered.
#[derive(Debug)]
#[must_use = "an order's answer has to be taken before the next order"]
pub struct Pending<V> {
    order: String,
    verb: PhantomData<V>,
}

/// An order that has been carried out.
#[derive(Debug)]
pub struct Done<Y> {
    /// What came of it.
    pub outcome: Result<Y, Fault>,
    /// When, on the guest's clock.
    pub span: Span,
    /// When the host heard of it.
    pub heard: Instant,
}

impl Actor {
    /// Starts an actor, who is called `name` in messages.
    ///
    /// # Errors
    ///
    /// If the guest can't start it.
    pub async fn start(agent: &Agent, name: &'static str) -> Result<Self, ActorError> {
        let request = ExecRequest::new([PROGRAM]).piped_stdin().cwd("/");
        let mut running = agent.exec(request).await?;
        let answers = running.stdout.take().expect("it has a standard output");
        Ok(Self {
            name,
            running,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Its process in the guest.
    pub fn pid(&self) -> u32 {
        self.running.pid().0.unsigned_abs()
    }

    /// Has it do something that waits for nobody.
    ///
    /// # Errors
    ///
    /// If it can't, or does not in time.
    pub async fn ask<V: Verb>(&mut self, verb: V) -> Result<V::Yield, ActorError> {
        let pending = self.begin(verb).await?;
        let limit = ANSWER_DEADLINE;
        let done = self.done_within(&pending, limit).await?;
        let done = done.ok_or_else(|| self.timed_out(&pending, limit))?;
        done.outcome.map_err(|source| ActorError::Fault {
            actor: self.name,
            source,
        })
    }

    /// Gives an order that may wait for somebody.
    ///
    /// # Errors
    ///
    /// If it can't be told.
    pub async fn begin<V: Verb>(&mut self, verb: V) -> Result<Pending<V>, ActorError> {
        let mut line = order(&verb);
        let pending = Pending {
            order: line.clone(),
            verb: PhantomData,
        };
        line.push('\n');
        let actor = self.name;
        let stdin = self
            .running
            .stdin
            .as_mut()
            .expect("it has a standard input");
        let told = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        told.await
            .map_err(|source| ActorError::Stream { actor, source })?;
        Ok(pending)
    }

    /// Waits for the end of an order; `None` if it has not come by then.
    ///
    /// # Errors
    ///
    /// If the actor has ended.
    pub async fn done_within<V: Verb>(
        &mut self,
        pending: &Pending<V>,
        limit: Duration,
    ) -> Result<Option<Done<V::Yield>>, ActorError> {
        match timeout(limit, self.done(pending)).await {
            Ok(done) => done.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// Waits for the end of an order. May be cancelled and called again.
    ///
    /// # Errors
    ///
    /// If the actor has ended.
    pub async fn done<V: Verb>(
        &mut self,
        pending: &Pending<V>,
    ) -> Result<Done<V::Yield>, ActorError> {
        let actor = self.name;
        let line = self.answers.next_line().await;
        let heard = Instant::now();
        let line = line.map_err(|source| ActorError::Stream { actor, source })?;
        let Some(line) = line else {
            let status = self.running.wait().await?;
            let order = pending.order.clone();
            return Err(ActorError::Ended {
                actor,
                status,
                order,
            });
        };
        let parsed = serde_json::from_str(&line).and_then(|answer: Answer| {
            let outcome = match answer.outcome {
                Ok(value) => Ok(serde_json::from_value(value)?),
                Err(fault) => Err(fault),
            };
            Ok(Done {
                outcome,
                span: answer.span,
                heard,
            })
        });
        parsed.map_err(|source| ActorError::Nonsense {
            actor,
            line,
            source,
        })
    }

    /// The error of an order that is not answered in time.
    pub fn timed_out<V>(&self, pending: &Pending<V>, limit: Duration) -> ActorError {
        ActorError::TimedOut {
            actor: self.name,
            order: pending.order.clone(),
            limit,
        }
    }

    /// Kills it and waits until it is gone, with all that it has open. One that hangs in the kernel
    /// is left there.
    ///
    /// # Errors
    ///
    /// If the guest's agent has failed.
    pub async fn end(mut self) -> Result<(), ActorError> {
        self.signal(Signal::KILL);
        match timeout(END_DEADLINE, self.running.wait()).await {
            Ok(ended) => ended.map(drop).map_err(ActorError::from),
            Err(_hangs) => Ok(()),
        }
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }
}
