// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Serves one client: a request is answered at once, or kept for the disk's owner.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::protocol::{self, INVALID, Wire, command};
use super::{Delayed, HELD_FROM, Request, RequestKind, SIZE};

/// Bytes for the socket, and the channel that reports when they are written.
type Outgoing = (Vec<u8>, Option<oneshot::Sender<Instant>>);

/// What is needed to answer a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// QEMU's identifier of the request.
    cookie: u64,
    /// The connection of the request.
    connection: UnboundedSender<Outgoing>,
}

/// Serves one client after another.
pub(super) async fn accept(listener: UnixListener, delayed: Arc<Delayed<Reply>>) {
    while let Ok((stream, _)) = listener.accept().await {
        match client(stream, &delayed).await {
            Ok(()) => {}
            Err(error) if is_end(error.kind()) => {}
            Err(error) => log::warn!("the disk's client: {error}"),
        }
    }
}

/// Whether the error means the end of QEMU, which disconnects without a message.
fn is_end(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionReset, UnexpectedEof].contains(&kind)
}

async fn client(mut stream: UnixStream, delayed: &Delayed<Reply>) -> io::Result<()> {
    if !protocol::handshake(&mut stream, SIZE).await? {
        return Ok(());
    }
    let (mut reader, writer) = stream.into_split();
    let (replies, to_send) = unbounded_channel();
    let read = async {
        loop {
            let wire = protocol::request(&mut reader).await?;
            if wire.command == command::DISCONNECT {
                return Ok(());
            }
            if let Some(reply) = take(wire, delayed, &replies) {
                // The receiver lives as long as this future does.
                let _ = replies.send((reply, None));
            }
        }
    };
    tokio::select! {
        ended = read => ended,
        ended = send(writer, to_send) => ended,
    }
}

/// The reply to a request, unless it is delayed.
fn take(
    wire: Wire,
    delayed: &Delayed<Reply>,
    connection: &UnboundedSender<Outgoing>,
) -> Option<Vec<u8>> {
    let end = wire.offset.checked_add(wire.len.into());
    let kind = match wire.command {
        command::READ => RequestKind::Read,
        command::WRITE => RequestKind::Write,
        command::FLUSH => return Some(protocol::reply(wire.cookie, 0, &[])),
        _ => return Some(protocol::reply(wire.cookie, INVALID, &[])),
    };
    if end.is_none_or(|end| end > SIZE) {
        return Some(protocol::reply(wire.cookie, INVALID, &[]));
    }
    let request = Request {
        kind,
        offset: wire.offset,
        len: wire.len,
        data: wire.data,
    };
    if request.offset < HELD_FROM {
        return Some(protocol::reply(wire.cookie, 0, &request.content()));
    }
    let reply = Reply {
        cookie: wire.cookie,
        connection: connection.clone(),
    };
    delayed.hold(request, reply);
    None
}

impl Reply {
    /// Sends the reply, and reports when it is in the socket. Fails if the client has disconnected.
    pub(super) fn send(self, request: &Request, sent: oneshot::Sender<Instant>) -> Result<(), ()> {
        let bytes = protocol::reply(self.cookie, 0, &request.content());
        let queued = self.connection.send((bytes, Some(sent)));
        queued.map_err(|_| ())
    }
}

async fn send(
    mut writer: OwnedWriteHalf,
    mut replies: UnboundedReceiver<Outgoing>,
) -> io::Result<()> {
    while let Some((bytes, sent)) = replies.recv().await {
        writer.write_all(&bytes).await?;
        if let Some(sent) = sent {
            // A caller that has stopped waiting does not need the time.
            let _ = sent.send(Instant::now());
        }
    }
    Ok(())
}
