// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The handle on a guest's agent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use guest_agent::wire::{Boot, FileStat, Mount, Reply, Request};
use tokio::{net::UnixStream, time::timeout};

use super::{AgentError, CommandOutput, ExecRequest, LinkError, Running, link::Link};

/// How long a guest may take from its connection to its agent's first message. An emulated guest of
/// a debug kernel on a busy machine takes a minute; a guest that takes this long will not come up.
const HELLO_TIME_OUT: Duration = Duration::from_secs(300);

/// How long a request that is answered at once may take.
const REQUEST_TIME_OUT: Duration = Duration::from_secs(120);

/// How long a command of [`Agent::run`] and [`Agent::check`] may take.
const RUN_TIME_OUT: Duration = Duration::from_secs(600);

/// How long the guest may take to end its processes and to unmount everything.
const SHUTDOWN_TIME_OUT: Duration = Duration::from_secs(120);

/// A connection to a guest's agent. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Agent {
    link: Link,
    boot: Arc<Boot>,
}

impl Agent {
    /// Waits for the guest's agent on a connected socket of its virtio-serial port.
    ///
    /// # Errors
    ///
    /// [`AgentError::TimedOut`] after five minutes; [`AgentError::Gone`] if QEMU ends, or the
    /// messages are not of this version's protocol. The guest's console has the details.
    pub async fn connect(stream: UnixStream) -> Result<Self, AgentError> {
        let doing = || "the guest's agent to start".to_owned();
        let opened = timeout(HELLO_TIME_OUT, Link::open(stream)).await;
        let (link, boot) = opened
            .map_err(|_| AgentError::TimedOut {
                doing: doing(),
                limit: HELLO_TIME_OUT,
            })?
            .map_err(|source| AgentError::Gone {
                doing: doing(),
                source: Arc::new(source),
            })?;
        Ok(Self {
            link,
            boot: Arc::new(boot),
        })
    }

    /// What the agent found at the guest's boot.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// The time since the last message from the guest. The agent sends a heartbeat every second, so
    /// a guest that is silent for much longer hangs.
    pub fn silence(&self) -> Duration {
        Instant::now().saturating_duration_since(self.link.registry.heard())
    }

    /// Mounts a file system in the guest. Creates the mount point if it is missing.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] with the guest's errno.
    pub async fn mount(
        &self,
        source: &str,
        target: &str,
        fstype: &str,
        options: &str,
    ) -> Result<(), AgentError> {
        let doing = format!("mount -t {fstype} -o '{options}' {source} {target}");
        let mount = Mount {
            source: source.into(),
            target: target.into(),
            fstype: fstype.into(),
            options: options.into(),
        };
        self.demand(doing, Request::Mount(mount)).await
    }

    /// Unmounts the file system at `target` in the guest.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] with the guest's errno.
    pub async fn umount(&self, target: &str) -> Result<(), AgentError> {
        let target = target.to_owned();
        self.demand(format!("umount {target}"), Request::Umount { target })
            .await
    }

    /// Lets the guest write back everything.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn sync(&self) -> Result<(), AgentError> {
        self.demand("sync".into(), Request::Sync).await
    }

    /// Reads a file of the guest of at most [`guest_agent::wire::MAX_FILE`] bytes.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] with the guest's errno.
    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>, AgentError> {
        let doing = format!("reading {path}");
        let request = Request::ReadFile { path: path.into() };
        match self.request(&doing, request, REQUEST_TIME_OUT).await? {
            Reply::File(bytes) => Ok(bytes),
            _ => Err(AgentError::WrongReply { doing }),
        }
    }

    /// Replaces a file's content in the guest, by at most [`guest_agent::wire::MAX_FILE`] bytes.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] with the guest's errno.
    pub async fn write_file(&self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), AgentError> {
        let request = Request::WriteFile {
            path: path.into(),
            mode,
            bytes: bytes.to_vec(),
        };
        self.demand(format!("writing {path}"), request).await
    }

    /// statx(2) of a path in the guest, symbolic links not followed.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] with the guest's errno.
    pub async fn stat(&self, path: &str) -> Result<FileStat, AgentError> {
        let doing = format!("stat {path}");
        let request = Request::Stat { path: path.into() };
        match self.request(&doing, request, REQUEST_TIME_OUT).await? {
            Reply::Stat(stat) => Ok(stat),
            _ => Err(AgentError::WrongReply { doing }),
        }
    }

    /// Starts a command in the guest.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`] when it can't be started.
    pub async fn exec(&self, request: ExecRequest) -> Result<Running, AgentError> {
        Running::start(self.link.clone(), request).await
    }

    /// Runs a command to its end, without input, for at most ten minutes.
    ///
    /// # Errors
    ///
    /// Those of [`exec`](Self::exec). How the command ended is no error here.
    pub async fn run<A: Into<String>>(
        &self,
        argv: impl IntoIterator<Item = A>,
    ) -> Result<CommandOutput, AgentError> {
        self.run_within(RUN_TIME_OUT, ExecRequest::new(argv), &[])
            .await
    }

    /// Runs a command as [`run`](Self::run) does. A failure of the command is an error.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run), and [`AgentError::Failed`].
    pub async fn check<A: Into<String>>(
        &self,
        argv: impl IntoIterator<Item = A>,
    ) -> Result<CommandOutput, AgentError> {
        self.run(argv).await?.success()
    }

    /// Runs a command to its end with `input` as its standard input. It is killed after `limit`.
    ///
    /// # Errors
    ///
    /// Those of [`exec`](Self::exec), and [`AgentError::TimedOut`].
    pub async fn run_within(
        &self,
        limit: Duration,
        request: ExecRequest,
        input: &[u8],
    ) -> Result<CommandOutput, AgentError> {
        let doing = format!("the end of {request}");
        let request = if input.is_empty() {
            request
        } else {
            request.piped_stdin()
        };
        let run = async { self.exec(request).await?.finish(input).await };
        timeout(limit, run)
            .await
            .unwrap_or(Err(AgentError::TimedOut { doing, limit }))
    }

    /// Lets the guest end its processes, unmount everything and power off. Returns after the
    /// guest's last message; QEMU ends soon after.
    ///
    /// # Errors
    ///
    /// [`AgentError::TimedOut`] after two minutes.
    pub async fn power_off(&self) -> Result<(), AgentError> {
        self.shut_down("the guest to power off", Request::PowerOff)
            .await
    }

    /// Like [`Self::power_off`], with a reboot at the end. Then connect anew to reach the agent of
    /// the next boot. This connection is of no more use, and must be dropped first.
    ///
    /// # Errors
    ///
    /// [`AgentError::TimedOut`] after two minutes.
    pub async fn reboot(&self) -> Result<(), AgentError> {
        self.shut_down("the guest to reboot", Request::Reboot).await
    }

    async fn shut_down(&self, doing: &str, request: Request) -> Result<(), AgentError> {
        match self.request(doing, request, SHUTDOWN_TIME_OUT).await {
            // QEMU may end before it has forwarded the guest's last message.
            Err(AgentError::Gone { source, .. }) if matches!(*source, LinkError::Closed) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn demand(&self, doing: String, request: Request) -> Result<(), AgentError> {
        match self.request(&doing, request, REQUEST_TIME_OUT).await? {
            Reply::Done => Ok(()),
            _ => Err(AgentError::WrongReply { doing }),
        }
    }

    async fn request(
        &self,
        doing: &str,
        request: Request,
        limit: Duration,
    ) -> Result<Reply, AgentError> {
        let doing = || doing.to_owned();
        let gone = |source| AgentError::Gone {
            doing: doing(),
            source,
        };
        let registry = &self.link.registry;
        let (message, reply) = registry.add_request(request).map_err(gone)?;
        self.link.send(message);
        match timeout(limit, reply).await {
            Ok(Ok(Ok(reply))) => Ok(reply),
            Ok(Ok(Err(source))) => Err(AgentError::Refused {
                doing: doing(),
                source,
            }),
            Ok(Err(_)) => Err(gone(registry.ended())),
            Err(_) => Err(AgentError::TimedOut {
                doing: doing(),
                limit,
            }),
        }
    }
}
