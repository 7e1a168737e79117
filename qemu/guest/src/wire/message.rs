// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The messages of both directions.

use serde::{Deserialize, Serialize};

use super::{Command, Errno, ExecId, ExitStatus, Output, Pid, RequestId, Signal, TtySize};

/// From the host to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Something to do at once, answered by [`ToHost::Reply`] with the same id.
    Request { id: RequestId, request: Request },
    /// Starts a command; answered by [`ToHost::Started`] or [`ToHost::Refused`].
    Exec { exec: ExecId, command: Command },
    /// Bytes for the command's standard input.
    Stdin {
        exec: ExecId,
        /// At most [`MAX_CHUNK`](super::MAX_CHUNK) bytes, within the stream's credit.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// No more standard input. A command on a terminal gets its end-of-file character.
    StdinEof { exec: ExecId },
    /// The host has taken this many bytes of an output stream: so many more may be sent.
    Credit {
        exec: ExecId,
        output: Output,
        bytes: u32,
    },
    /// The host wants no more of an output stream: its pipe is closed, so that writing to it
    /// fails in the guest as it does locally.
    CloseOutput { exec: ExecId, output: Output },
    /// The terminal has a new size.
    Resize { exec: ExecId, size: TtySize },
    /// Signals the command's process group. Without effect once the command has ended.
    Signal { exec: ExecId, signal: Signal },
}

/// From the agent to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// The first message of a connection: the guest has booted.
    Hello(Boot),
    /// The answer to a request.
    Reply {
        id: RequestId,
        outcome: Result<Reply, Failure>,
    },
    /// The command runs.
    Started { exec: ExecId, pid: Pid },
    /// The command could not be started; nothing more comes for it.
    Refused { exec: ExecId, failure: Failure },
    /// What the command wrote.
    Data {
        exec: ExecId,
        output: Output,
        /// At most [`MAX_CHUNK`](super::MAX_CHUNK) bytes, within the stream's credit.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The stream has ended before the command has: every process that held its other end has
    /// closed it.
    OutputEof { exec: ExecId, output: Output },
    /// The command has taken this many bytes of its input: so many more may be sent.
    StdinCredit { exec: ExecId, bytes: u32 },
    /// No process in the guest reads the command's input any more.
    StdinClosed { exec: ExecId },
    /// The command's first process has ended; the last message about the command. All that it
    /// wrote has been sent before. Its streams are closed on both sides, so a process that it left
    /// behind and that still writes to them gets SIGPIPE, or SIGHUP on a terminal.
    Exited { exec: ExecId, status: ExitStatus },
    /// Something that a person should see.
    Log { level: LogLevel, text: String },
    /// The agent is alive. Sent at regular intervals, whatever else happens.
    Heartbeat {
        /// Time since the guest's boot.
        uptime_ms: u64,
    },
}

/// What the agent can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Mounts a file system; the mount point is made where it is missing.
    Mount(Mount),
    /// Unmounts the file system at this path.
    Umount { target: String },
    /// Writes back everything, as sync(2).
    Sync,
    /// The content of a file of at most [`MAX_FILE`](super::MAX_FILE) bytes.
    ReadFile { path: String },
    /// Replaces a file's content.
    WriteFile {
        /// Which file; created where it is missing.
        path: String,
        /// Its permission bits when it is created.
        mode: u32,
        /// At most [`MAX_FILE`](super::MAX_FILE) bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// statx(2) of a path, symbolic links not followed.
    Stat { path: String },
    /// Ends every process, unmounts everything and powers off. The reply is the connection's last
    /// message.
    PowerOff,
    /// The same, with a reboot at its end.
    Reboot,
}

/// A mount, with mount(2)'s parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The device, or a virtio-fs tag.
    pub source: String,
    /// The directory to mount on.
    pub target: String,
    /// `virtiofs`, `ext4`, …
    pub fstype: String,
    /// Comma-separated, as for mount(8): `ro`, `nosuid` and their like become flags, the others go
    /// to the file system. May be empty.
    pub options: String,
}

/// What a request gives when it succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// What [`Request::ReadFile`] read.
    File(#[serde(with = "serde_bytes")] Vec<u8>),
    /// What [`Request::Stat`] saw.
    Stat(FileStat),
}

/// Why something failed in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kernel's error number, where there is one.
    pub errno: Option<Errno>,
    /// One line, for a person.
    pub message: String,
}

/// What statx(2) tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// File type and permissions, as in `st_mode`.
    pub mode: u32,
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    pub inode: u64,
    pub links: u32,
    /// The attribute bits, of which [`FileStat::dax`] names one.
    pub attributes: u64,
    /// Which attribute bits the file system knows.
    pub attributes_mask: u64,
}

impl FileStat {
    /// Whether this very file is accessed by DAX now (`STATX_ATTR_DAX`).
    pub fn dax(&self) -> bool {
        const STATX_ATTR_DAX: u64 = 0x0020_0000;
        self.attributes & STATX_ATTR_DAX != 0
    }
}

/// How much a [`ToHost::Log`] line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    /// Good to know.
    Info,
    /// Something did not work.
    Warning,
}

/// What the agent found at its boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The running kernel's release, as in `uname -r`.
    pub kernel: String,
    /// Time from the kernel's start to the agent's being ready.
    pub uptime_ms: u64,
    /// How many kernel modules were loaded.
    pub modules: u32,
    /// What did not work, one line each: a module that the kernel refused, for example.
    pub problems: Vec<String>,
}
