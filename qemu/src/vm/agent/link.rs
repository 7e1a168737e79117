// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The socket to one guest's agent, and the task that owns it.

use std::sync::Arc;

use guest_agent::wire::{Boot, Decoder, FrameError, Preamble, ToGuest, ToHost, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::{LinkError, registry::Registry};

const READ_BYTES: usize = 64 * 1024;

/// How many messages are put into one write at most.
const BATCH: usize = 32;

/// What every handle of a connection needs: a way to send, and the table of receivers.
#[derive(Clone)]
pub(super) struct Link {
    /// The channel is unbounded, but its content is bounded: stream bytes by their credit, all else
    /// by the number of callers.
    outbox: mpsc::UnboundedSender<ToGuest>,
    pub(super) registry: Arc<Registry>,
}

impl Link {
    /// Waits for the guest's greeting, answers it and starts the task that owns the socket.
    pub(super) async fn open(stream: UnixStream) -> Result<(Self, Boot), LinkError> {
        let (reader, mut writer) = stream.into_split();
        let mut inbox = Inbox::new(reader);
        let greeting = inbox.next().await;
        // Sent also if the guest's greeting is wrong, so that the agent can print the reason on its
        // console. It must not be sent earlier: a guest that is about to reboot would take it.
        if matches!(
            greeting,
            Ok(_) | Err(LinkError::Frame(FrameError::Version { .. }))
        ) {
            writer
                .write_all(&Preamble::bytes())
                .await
                .map_err(LinkError::Io)?;
        }
        let ToHost::Hello(boot) = greeting? else {
            return Err(LinkError::Protocol("the first message is no Hello".into()));
        };
        let (outbox, messages) = mpsc::unbounded_channel();
        let registry = Arc::new(Registry::new());
        tokio::spawn(serve(inbox, writer, messages, Arc::clone(&registry)));
        Ok((Self { outbox, registry }, boot))
    }

    /// Queues a message; `false` when the connection has ended.
    pub(super) fn send(&self, message: ToGuest) -> bool {
        self.outbox.send(message).is_ok()
    }
}

async fn serve(
    inbox: Inbox,
    writer: OwnedWriteHalf,
    messages: mpsc::UnboundedReceiver<ToGuest>,
    registry: Arc<Registry>,
) {
    let end = tokio::select! {
        end = receive(inbox, &registry) => end,
        end = transmit(writer, messages) => end,
    };
    let why = end.err().unwrap_or(LinkError::Dropped);
    registry.end(why);
}

async fn receive(mut inbox: Inbox, registry: &Registry) -> Result<(), LinkError> {
    loop {
        registry.dispatch(inbox.next().await?)?;
    }
}

/// Ends without an error when the last handle is dropped and all its messages are sent.
async fn transmit(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::UnboundedReceiver<ToGuest>,
) -> Result<(), LinkError> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = Vec::new();
    while messages.recv_many(&mut batch, BATCH).await > 0 {
        for message in batch.drain(..) {
            bytes.extend_from_slice(&frame::encode(&message)?);
        }
        writer.write_all(&bytes).await.map_err(LinkError::Io)?;
        bytes.clear();
    }
    Ok(())
}

/// The guest's messages, one by one.
struct Inbox {
    reader: OwnedReadHalf,
    decoder: Decoder<ToHost>,
    buffer: Box<[u8]>,
}

impl Inbox {
    fn new(reader: OwnedReadHalf) -> Self {
        Self {
            reader,
            decoder: Decoder::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    async fn next(&mut self) -> Result<ToHost, LinkError> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let read = self.reader.read(&mut self.buffer).await;
            match read.map_err(LinkError::Io)? {
                0 => return Err(LinkError::Closed),
                len => self.decoder.push(&self.buffer[..len]),
            }
        }
    }
}
