// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The agent as an ordinary process of this machine, with the lab's client at its other end.

use std::{
    future::Future,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use qemu_guest::vm::agent::Agent;

/// How long anything here may take. A busy machine may need a few seconds.
pub const TIME_OUT: Duration = Duration::from_secs(60);

/// An agent's process. Dropping it closes the agent's connection and waits for its end, so that no
/// command is left either.
pub struct Process {
    child: Child,
    connection: UnixStream,
}

impl Process {
    /// Starts an agent and gives it one end of a socket pair; the other end comes back.
    pub fn start() -> (Self, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let child = Command::new(env!("CARGO_BIN_EXE_guest-agent"))
            .arg("--serve")
            .stdin(OwnedFd::from(theirs))
            // What a terminal sends to this process's group is not for the agent.
            .process_group(0)
            .spawn()
            .expect("the agent starts");
        let connection = ours.try_clone().expect("another handle on the socket");
        (Self { child, connection }, ours)
    }

    /// Ends it like a crash.
    pub fn kill(&mut self) {
        self.child.kill().expect("the agent runs");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the agent's process to end", async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the agent has closed its end.
        self.connection.shutdown(Shutdown::Both).ok();
        self.child.wait().expect("a child can be waited for");
    }
}

/// A connected agent.
pub async fn agent() -> (Agent, Process) {
    let (process, ours) = Process::start();
    ours.set_nonblocking(true).expect("a non-blocking socket");
    let stream = tokio::net::UnixStream::from_std(ours).expect("a tokio socket");
    let agent = Agent::connect(stream).await.expect("the agent's greeting");
    (agent, process)
}

/// Waits with a limit; the failure says for what.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIME_OUT, future)
        .await
        .unwrap_or_else(|_| panic!("timed out after {TIME_OUT:?}, waiting for {what}"))
}
