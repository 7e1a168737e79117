// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest command's standard input, output and error, as tokio's byte streams.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use guest_agent::wire::{
    ExecId, MAX_CHUNK, Output, ToGuest,
    flow::{ReturnCredit, SendCredit, TooMuchCredit},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

use super::{link::Link, registry::Chunk};

/// The credit for a command's standard input.
pub(super) struct StdinWindow {
    state: Mutex<StdinState>,
}

struct StdinState {
    credit: SendCredit,
    closed: bool,
    waker: Option<Waker>,
}

impl StdinWindow {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(StdinState {
                credit: SendCredit::new(),
                closed: false,
                waker: None,
            }),
        }
    }

    pub(super) fn restore(&self, bytes: u32) -> Result<(), TooMuchCredit> {
        let mut state = self.state();
        state.credit.restore(bytes)?;
        state.wake();
        Ok(())
    }

    /// Records that the command's input is closed in the guest.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.wake();
    }

    /// Reserves up to `wanted` bytes of credit; returns how many.
    fn poll_reserve(&self, wanted: usize, context: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match state.credit.available(wanted.min(MAX_CHUNK)) {
            0 if wanted > 0 => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            bytes => {
                state.credit.spend(bytes);
                Poll::Ready(Ok(bytes))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, StdinState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StdinState {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A command's standard input. Shutting it down, or dropping it, is the end of the file.
pub struct Stdin {
    exec: ExecId,
    link: Link,
    window: Arc<StdinWindow>,
    ended: bool,
}

impl Stdin {
    pub(super) fn new(exec: ExecId, link: Link, window: Arc<StdinWindow>) -> Self {
        Self {
            exec,
            link,
            window,
            ended: false,
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.link.send(ToGuest::StdinEof { exec: self.exec });
        }
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let reserved = std::task::ready!(self.window.poll_reserve(bytes.len(), context))?;
        let sent = self.link.send(ToGuest::Stdin {
            exec: self.exec,
            bytes: bytes[..reserved].to_vec(),
        });
        Poll::Ready(if sent {
            Ok(reserved)
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.end();
    }
}

/// A command's standard output or standard error.
///
/// It ends when the command does, or when all processes in the guest that had it have closed it.
/// Dropping it closes it in the guest: a command that goes on writing gets SIGPIPE.
pub struct OutputStream {
    exec: ExecId,
    output: Output,
    link: Link,
    chunks: mpsc::UnboundedReceiver<Chunk>,
    current: io::Cursor<Vec<u8>>,
    consumed: ReturnCredit,
    ended: bool,
}

impl OutputStream {
    pub(super) fn new(
        exec: ExecId,
        output: Output,
        link: Link,
        chunks: mpsc::UnboundedReceiver<Chunk>,
    ) -> Self {
        Self {
            exec,
            output,
            link,
            chunks,
            current: io::Cursor::default(),
            consumed: ReturnCredit::default(),
            ended: false,
        }
    }

    /// The next bytes as they came from the guest; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection to the guest has ended before the stream has.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let chunk = std::future::poll_fn(|context| self.poll_chunk(context)).await?;
        Ok(chunk.inspect(|bytes| self.consume(bytes.len())))
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        Poll::Ready(match std::task::ready!(self.chunks.poll_recv(context)) {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(why)) => Err(io::Error::other(why)),
            None => {
                self.ended = true;
                Ok(None)
            }
        })
    }

    fn consume(&mut self, bytes: usize) {
        if let Some(bytes) = self.consumed.consume(bytes) {
            self.link.send(ToGuest::Credit {
                exec: self.exec,
                output: self.output,
                bytes,
            });
        }
    }
}

impl AsyncRead for OutputStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.position() as usize == self.current.get_ref().len() {
            match std::task::ready!(self.poll_chunk(context))? {
                Some(bytes) => self.current = io::Cursor::new(bytes),
                None => return Poll::Ready(Ok(())),
            }
        }
        let position = self.current.position() as usize;
        let rest = &self.current.get_ref()[position..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.current.set_position((position + taken) as u64);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        if !self.ended {
            self.link.send(ToGuest::CloseOutput {
                exec: self.exec,
                output: self.output,
            });
        }
    }
}
