// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's end of a worker: a process in the guest that runs one op at a time.

use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use guest_agent::worker::{ARGUMENT, Answer, Fault, Op, Request, Span};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::time::timeout;

use crate::vm::agent::{Agent, AgentError, ExecRequest, ExitStatus, OutputStream, Running, Signal};

/// The path of the guest's one program.
pub const GUEST_AGENT: &str = "/init";

/// How long an op may take that waits for no other task, under emulation on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(180);

/// How long a killed process may take to end.
const END_DEADLINE: Duration = Duration::from_secs(20);

/// Why a worker can't be used any more, or could not carry out a request.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum WorkerError {
    /// The guest's agent has failed, or is gone with the guest.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The worker has ended.
    #[error("the {worker} ended ({status}) over {request}")]
    Ended {
        worker: &'static str,
        status: ExitStatus,
        request: String,
    },
    /// Its standard input or output failed.
    #[error("no connection to the {worker}")]
    Stream {
        worker: &'static str,
        source: io::Error,
    },
    /// No answer came in time.
    #[error("timed out after {limit:?} waiting for the {worker} to do {request}")]
    TimedOut {
        worker: &'static str,
        request: String,
        limit: Duration,
    },
    /// The answer can't be understood.
    #[error("the {worker} answered nonsense: {line}")]
    Nonsense {
        worker: &'static str,
        line: String,
        source: serde_json::Error,
    },
    /// The op failed.
    #[error("the {worker} failed")]
    Fault { worker: &'static str, source: Fault },
}

/// A process in the guest that carries out requests. Dropping it kills it.
pub struct Worker {
    name: &'static str,
    running: Running,
    answers: Lines<BufReader<OutputStream>>,
}

/// A request that has been sent and not yet answered.
#[derive(Debug)]
#[must_use = "a request's answer has to be taken before the next request"]
pub struct Pending<O> {
    request: String,
    op: PhantomData<O>,
}

/// An op that has ended.
#[derive(Debug)]
pub struct Done<Y> {
    /// The result of the op.
    pub outcome: Result<Y, Fault>,
    /// When it ran, on the guest's clock.
    pub span: Span,
    /// When the host got the answer.
    pub heard: Instant,
}

impl Worker {
    /// Starts a worker, which messages call `name`.
    ///
    /// # Errors
    ///
    /// If the guest can't start it.
    pub async fn start(agent: &Agent, name: &'static str) -> Result<Self, WorkerError> {
        let request = ExecRequest::new([GUEST_AGENT, ARGUMENT])
            .piped_stdin()
            .cwd("/");
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

    /// Runs an op that waits for no other task.
    ///
    /// # Errors
    ///
    /// If the op fails, or takes more than three minutes.
    pub async fn ask<O: Op>(&mut self, op: O) -> Result<O::Yield, WorkerError> {
        self.ask_within(ANSWER_DEADLINE, op).await
    }

    /// [`Self::ask`] with another limit.
    ///
    /// # Errors
    ///
    /// If the op fails, or exceeds the limit.
    pub async fn ask_within<O: Op>(
        &mut self,
        limit: Duration,
        op: O,
    ) -> Result<O::Yield, WorkerError> {
        let pending = self.begin(op).await?;
        let done = self.done_within(&pending, limit).await?;
        let done = done.ok_or_else(|| self.timed_out(&pending, limit))?;
        done.outcome.map_err(|source| WorkerError::Fault {
            worker: self.name,
            source,
        })
    }

    /// Sends the request for an op that may wait for another task.
    ///
    /// # Errors
    ///
    /// If the request can't be sent.
    pub async fn begin<O: Op>(&mut self, op: O) -> Result<Pending<O>, WorkerError> {
        let request = serde_json::to_string(&Request::of(&op)).expect("a request is plain data");
        let (worker, line) = (self.name, format!("{request}\n"));
        let stdin = self.running.stdin.as_mut();
        let stdin = stdin.expect("it has a standard input");
        let sent = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        sent.await
            .map_err(|source| WorkerError::Stream { worker, source })?;
        Ok(Pending {
            request,
            op: PhantomData,
        })
    }

    /// Waits for the end of an op; `None` if it has not ended by the limit.
    ///
    /// # Errors
    ///
    /// If the worker has ended.
    pub async fn done_within<O: Op>(
        &mut self,
        pending: &Pending<O>,
        limit: Duration,
    ) -> Result<Option<Done<O::Yield>>, WorkerError> {
        match timeout(limit, self.done(pending)).await {
            Ok(done) => done.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// Waits for the end of an op. May be cancelled and called again.
    ///
    /// # Errors
    ///
    /// If the worker has ended.
    pub async fn done<O: Op>(
        &mut self,
        pending: &Pending<O>,
    ) -> Result<Done<O::Yield>, WorkerError> {
        let worker = self.name;
        let line = self.answers.next_line().await;
        let heard = Instant::now();
        let line = line.map_err(|source| WorkerError::Stream { worker, source })?;
        let Some(line) = line else {
            let status = self.running.wait().await?;
            let request = pending.request.clone();
            return Err(WorkerError::Ended {
                worker,
                status,
                request,
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
        parsed.map_err(|source| WorkerError::Nonsense {
            worker,
            line,
            source,
        })
    }

    /// The error of a request that is not answered in time.
    pub fn timed_out<O>(&self, pending: &Pending<O>, limit: Duration) -> WorkerError {
        WorkerError::TimedOut {
            worker: self.name,
            request: pending.request.clone(),
            limit,
        }
    }

    /// Kills the worker and waits until it has ended, with all that it has open. A worker that
    /// hangs in the kernel is left there.
    ///
    /// # Errors
    ///
    /// If the guest's agent has failed.
    pub async fn end(mut self) -> Result<(), WorkerError> {
        self.signal(Signal::KILL);
        match timeout(END_DEADLINE, self.running.wait()).await {
            Ok(ended) => ended.map(drop).map_err(WorkerError::from),
            Err(_hangs) => Ok(()),
        }
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }
}
