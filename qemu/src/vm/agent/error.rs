// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Errors between the lab and a guest's agent.

use std::{io, sync::Arc, time::Duration};

use guest_agent::wire::{ExitStatus, Failure, FrameError};

/// Why a request to the guest's agent failed. Each error names the request.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AgentError {
    /// The guest did not get as far as starting its agent, or hangs.
    #[error("timed out after {} s, waiting for {doing}", limit.as_secs())]
    TimedOut { doing: String, limit: Duration },
    /// The connection ended first.
    #[error("lost the guest's agent, waiting for {doing}")]
    Gone {
        doing: String,
        #[source]
        source: Arc<LinkError>,
    },
    /// The guest tried and failed.
    #[error("the guest reports a failure of {doing}")]
    Refused {
        doing: String,
        #[source]
        source: Failure,
    },
    /// The agent sent another kind of answer than requested.
    #[error("the guest's agent gave the wrong kind of answer to {doing}")]
    WrongReply { doing: String },
    /// A command that had to succeed did not.
    #[error("{command} in the guest: {status}{}", quoted(stderr))]
    Failed {
        command: String,
        status: ExitStatus,
        stderr: String,
    },
    /// A command's streams could not be read or written.
    #[error("can't pass the data of {command}")]
    Stream {
        command: String,
        #[source]
        source: io::Error,
    },
}

/// How a connection to an agent ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The guest's end is closed: the guest was powered off or reset, or QEMU has ended.
    #[error("the connection was closed from the guest's side")]
    Closed,
    /// The socket failed.
    #[error("the agent's socket failed")]
    Io(#[source] io::Error),
    /// The data is not of this protocol.
    #[error("the agent's messages can't be understood")]
    Frame(#[from] FrameError),
    /// A valid message that may not come now.
    #[error("the agent broke the protocol: {0}")]
    Protocol(String),
    /// This side has closed it.
    #[error("the connection was closed from this side")]
    Dropped,
}

fn quoted(stderr: &str) -> String {
    match stderr.trim_end() {
        "" => String::new(),
        text => format!("; it said: {text}"),
    }
}
