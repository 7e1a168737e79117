// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A front end that breaks all rules.

mod descriptors;
mod start;

use std::cell::OnceCell;
use std::io::{ErrorKind, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use vhost::vhost_user::Listener;

use super::{MUST_END, Operation};
use descriptors::Belongings;

/// How long to wait for a request: long enough if it is served, and short enough if it is not.
const A_MOMENT: Duration = Duration::from_micros(500);
/// The protocol's version, in every header's flags.
const VERSION: u32 = 1;

thread_local! {
    static LISTENER: OnceCell<(UnixListener, SocketAddr)> = const { OnceCell::new() };
}

/// A front end, connected to a session that may not exist yet.
pub(super) struct FrontEnd {
    socket: UnixStream,
    has: Belongings,
    /// The last request was not served in time. The next one won't be either, unless a queue is
    /// started.
    gave_up: bool,
}

/// Ignores SIGPIPE, as the standard library does in a program with a `main` of its own, such as the
/// daemon.
pub(super) fn ignore_broken_pipes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    });
}

impl FrontEnd {
    /// The connection, and the listener that gives the session its end.
    pub(super) fn connect() -> (Self, Listener) {
        LISTENER.with(|listener| {
            let (listener, address) = listener.get_or_init(|| {
                let name = format!(
                    "daxd-fuzz-{}-{:?}",
                    std::process::id(),
                    thread::current().id()
                );
                let address = SocketAddr::from_abstract_name(name).expect("a name");
                (
                    UnixListener::bind_addr(&address).expect("a socket"),
                    address,
                )
            });
            let socket = UnixStream::connect_addr(address).expect("a listener");
            socket.set_nonblocking(true).expect("a socket");
            let front_end = Self {
                socket,
                has: Belongings::new(),
                gave_up: false,
            };
            (
                front_end,
                listener.try_clone().expect("a descriptor").into(),
            )
        })
    }

    pub(super) fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Start { without } => {
                self.gave_up = false;
                self.start(*without);
            }
            Operation::Message {
                code,
                flags,
                descriptors,
                more,
                body,
            } => {
                let flags = VERSION | u32::from(*flags) << 2;
                let message = message((*code).into(), flags, &body.0);
                self.send(&message, *descriptors, *more);
            }
            Operation::Raw { descriptors, bytes } => self.send(&bytes.0, *descriptors, 0),
            Operation::Answer { code, flags, value } => {
                // REPLY, and NEED_REPLY although it is not permitted here.
                let flags = VERSION | 1 << 2 | u32::from(*flags) << 3;
                let value = u64::from(*value).to_le_bytes();
                self.answer(&message((*code).into(), flags, &value), 0);
            }
            Operation::AnswerRaw { descriptors, bytes } => self.answer(&bytes.0, *descriptors),
            Operation::Hang {} => self.has.channel = None,
            Operation::Request { bytes } => self.request(&bytes.0),
            Operation::Truncate { pages } => self.has.truncate((*pages).into()),
        }
    }

    /// Sends bytes with at most two descriptors.
    fn send(&mut self, bytes: &[u8], first: u8, second: u8) {
        self.read_replies();
        let lent: Vec<_> = [first, second]
            .into_iter()
            .filter_map(|kind| self.has.lend(kind))
            .collect();
        send_with(&self.socket, bytes, &lent);
    }

    fn answer(&self, bytes: &[u8], descriptor: u8) {
        if let Some(channel) = &self.has.channel {
            let lent: Vec<_> = self.has.lend(descriptor).into_iter().collect();
            send_with(channel, bytes, &lent);
        }
    }

    /// Reads the session's replies, to make room for more.
    fn read_replies(&mut self) {
        let mut buffer = [0; 4096];
        while matches!(self.socket.read(&mut buffer), Ok(len) if len > 0) {}
    }

    fn request(&mut self, bytes: &[u8]) {
        let used = self.has.offer(bytes);
        let begin = Instant::now();
        while !self.gave_up && self.has.used() == used {
            thread::yield_now();
            self.gave_up = begin.elapsed() > A_MOMENT;
        }
    }

    /// Closes all descriptors, and returns when the session has closed its end.
    pub(super) fn leave(self) {
        let Self {
            mut socket, has, ..
        } = self;
        // Everything else that the session may wait for is in here.
        drop(has);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        socket.set_nonblocking(false).expect("a socket");
        socket.set_read_timeout(Some(MUST_END)).expect("a socket");
        let begin = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                // libFuzzer's timer interrupts the call.
                Err(error)
                    if error.kind() == ErrorKind::Interrupted && begin.elapsed() < MUST_END => {}
                Err(error) => panic!("waited {MUST_END:?} for the session to end: {error}"),
            }
        }
    }
}

/// A message with its header.
fn message(code: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut message = [code, flags, body.len() as u32]
        .map(u32::to_le_bytes)
        .concat();
    message.extend(body);
    message
}

fn send_with(socket: &UnixStream, bytes: &[u8], lent: &[OwnedFd]) {
    let descriptors: Vec<BorrowedFd<'_>> = lent.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // The session may have ended, or may have stopped reading.
    let _ = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags);
}
