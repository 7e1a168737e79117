// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's control socket, and the two messages that the library does not serve.
//!
//! vhost-user-backend 0.24 refuses `GET_INFLIGHT_FD` and `SET_INFLIGHT_FD`, and reads messages only
//! from a socket that it has accepted itself. So the library gets a connection of our own. All
//! other messages are forwarded in both directions, unchanged and with their descriptors:
//!
//! ```text
//!  VMM ──▶ in ──▶ library        two threads; `in` answers the two messages itself
//!      ◀── out ◀──
//! ```
//!
//! The end of a connection is forwarded as well. The window's channel is another socket, which QEMU
//! passes in a message, and does not go through here.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use vhost::vhost_user::message::VhostUserInflight;
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vm_memory::ByteValued as _;

use crate::log::ErrorChain;
use crate::ring::inflight::Inflight;

/// A message's header: request, flags and body size, 4 bytes each.
const HEADER: usize = 12;
/// The largest body, and the most descriptors. The library refuses a message with more.
const MAX_BODY: usize = 4096;
const MAX_FILES: usize = 32;

const GET_INFLIGHT_FD: u32 = 31;
const SET_INFLIGHT_FD: u32 = 32;

const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// The VMM's socket, and the library's connection.
pub struct VmmSocket {
    vmm: Listener,
    /// A listener with exactly one connection, the other end of `ours`.
    library: UnixListener,
    ours: UnixStream,
}

impl VmmSocket {
    /// Makes all sockets that serving needs, since they can't be made later.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn around(vmm: Listener) -> io::Result<Self> {
        let socket = |flags| {
            let flags = SocketFlags::CLOEXEC | flags;
            net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        };
        let library = socket(SocketFlags::empty())?;
        // The kernel chooses a name that is in no file system.
        net::bind(&library, &SocketAddrUnix::new_unnamed())?;
        // The backlog has room for one connection. If ours succeeds at once, it is the one: another
        // process that found the name first would have taken the room.
        net::listen(&library, 0)?;
        let ours = socket(SocketFlags::NONBLOCK)?;
        net::connect(&ours, &net::getsockname(&library)?)?;
        let ours = UnixStream::from(ours);
        ours.set_nonblocking(false)?;
        Ok(Self {
            vmm,
            library: library.into(),
            ours,
        })
    }

    /// Accepts one VMM. Returns the library's listener and the two connections. A second VMM that
    /// connects is refused at once.
    pub(crate) fn accept(self) -> Result<(Listener, Connections), VhostUserError> {
        let vmm = loop {
            if let Some(vmm) = self.vmm.accept()? {
                break vmm;
            }
        };
        let connections = Connections {
            vmm,
            library: self.ours,
        };
        Ok((self.library.into(), connections))
    }
}

/// A VMM's connection, and the library's.
pub(crate) struct Connections {
    vmm: UnixStream,
    library: UnixStream,
}

impl Connections {
    /// Forwards messages, in threads of its own, until either side closes.
    pub(crate) fn pass_on(self, inflight: Arc<Inflight>) -> io::Result<()> {
        let Self { vmm, library } = self;
        let ends = Ends {
            // Replies come from both threads.
            vmm: Mutex::new(vmm.try_clone()?),
            inflight,
        };
        let (to_library, from_library) = (library.try_clone()?, library);
        let ends = Arc::new(ends);
        let replies = Arc::clone(&ends);
        thread::Builder::new()
            .name("vmm-out".to_owned())
            .spawn(move || {
                while let Ok(Some(message)) = Message::receive(&from_library) {
                    if message.send(&replies.vmm.lock()).is_err() {
                        break;
                    }
                }
                // This ends both threads. It fails if the connection has ended already.
                let _ = replies.vmm.lock().shutdown(Shutdown::Both);
            })?;
        thread::Builder::new()
            .name("vmm-in".to_owned())
            .spawn(move || {
                while let Ok(Some(message)) = Message::receive(&vmm) {
                    if ends.serve(message, &to_library).is_err() {
                        break;
                    }
                }
                // The library still reads the forwarded messages before the end.
                let _ = to_library.shutdown(Shutdown::Write);
            })?;
        Ok(())
    }
}

/// State of both threads.
struct Ends {
    vmm: Mutex<UnixStream>,
    inflight: Arc<Inflight>,
}

impl Ends {
    /// Answers a message of the VMM, or forwards it.
    fn serve(&self, message: Message, library: &UnixStream) -> io::Result<()> {
        let told = VhostUserInflight::from_slice(&message.body).copied();
        match (message.request(), told) {
            (GET_INFLIGHT_FD, Some(asked)) => {
                let (made, file) = Inflight::create(&asked).map_err(io::Error::other)?;
                let reply = Message::reply_to(&message, made.as_slice(), Some(file.into()));
                reply.send(&self.vmm.lock())
            }
            (SET_INFLIGHT_FD, Some(told)) => self.install(message, &told),
            _ => message.send(library),
        }
    }

    fn install(&self, mut message: Message, told: &VhostUserInflight) -> io::Result<()> {
        let file = message.files.pop().map(File::from);
        let installed = file.map(|file| self.inflight.install(told, file));
        if let Some(Err(error)) = &installed {
            log::warn!(
                "requests under way are not kept for the next daemon: {}",
                ErrorChain(error)
            );
        }
        if message.flags() & NEED_REPLY != 0 {
            let failed = u64::from(!matches!(installed, Some(Ok(()))));
            let reply = Message::reply_to(&message, &failed.to_ne_bytes(), None);
            return reply.send(&self.vmm.lock());
        }
        Ok(())
    }
}

/// A message, as it is on the socket.
struct Message {
    header: [u8; HEADER],
    body: Vec<u8>,
    files: Vec<OwnedFd>,
}

impl Message {
    fn field(&self, index: usize) -> u32 {
        let bytes = &self.header[index * 4..][..4];
        u32::from_ne_bytes(bytes.try_into().unwrap_or_default())
    }

    fn request(&self) -> u32 {
        self.field(0)
    }

    fn flags(&self) -> u32 {
        self.field(1)
    }

    fn reply_to(message: &Self, body: &[u8], file: Option<OwnedFd>) -> Self {
        let mut header = [0; HEADER];
        let fields = [message.request(), VERSION | REPLY, body.len() as u32];
        for (bytes, field) in header.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_ne_bytes());
        }
        Self {
            header,
            body: body.to_vec(),
            files: file.into_iter().collect(),
        }
    }

    /// The next message; none at the connection's end.
    fn receive(socket: &UnixStream) -> io::Result<Option<Self>> {
        let mut message = Self {
            header: [0; HEADER],
            body: Vec::new(),
            files: Vec::new(),
        };
        if !receive_all(socket, &mut message.header, &mut message.files)? {
            return Ok(None);
        }
        let len = message.field(2) as usize;
        if len <= MAX_BODY {
            message.body = vec![0; len];
            let mut more = Vec::new();
            if !receive_all(socket, &mut message.body, &mut more)? {
                return Ok(None);
            }
        }
        Ok(Some(message))
    }

    fn send(&self, socket: &UnixStream) -> io::Result<()> {
        let bytes = [&self.header[..], &self.body].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = self.files.iter().map(|file| file.as_fd()).collect();
        if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = [IoSlice::new(&bytes[sent..])];
            match net::sendmsg(socket, &rest, &mut control, SendFlags::NOSIGNAL) {
                Ok(more) => sent += more,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            control.clear();
        }
        Ok(())
    }
}

/// Fills `bytes`; false if the connection ends before that.
fn receive_all(
    socket: &UnixStream,
    bytes: &mut [u8],
    files: &mut Vec<OwnedFd>,
) -> io::Result<bool> {
    let mut received = 0;
    while received < bytes.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut rest = [IoSliceMut::new(&mut bytes[received..])];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match net::recvmsg(socket, &mut rest, &mut control, flags) {
            Ok(message) if message.bytes == 0 => return Ok(false),
            Ok(message) => received += message.bytes,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                files.extend(passed);
            }
        }
    }
    Ok(true)
}
