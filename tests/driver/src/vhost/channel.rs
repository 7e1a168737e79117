// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The thread that serves the back-end channel.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use vhost::vhost_user::message::{BackendReq, VhostUserMMap};
use vhost::vhost_user::{Error, FrontendReqHandler};
use vm_memory::ByteValued;

use super::VhostError;
use super::control::Control;
use crate::units::WindowOffset;
use crate::window::{Action, Call, CallKind, Held, MainLoop, Rules, Script, Vmm};

/// Request, flags and size of the payload, 32 bits each.
const HEADER: usize = 12;
/// Version 1, and REPLY.
const REPLY_FLAGS: u32 = 1 | 4;

/// Whether the channel is served, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The channel is served.
    Open,
    /// The VM is being dropped, or the script closed the channel.
    Closed,
    /// The daemon has closed the control connection, or the VM has been ended.
    Disconnected,
    /// A message arrived that can't be served.
    Broken(String),
}

/// The VMM's end of the channel.
pub(super) struct Channel {
    /// A second handle of the socket, used to close it.
    socket: UnixStream,
    vmm: Arc<Vmm>,
    held: Held,
    thread: Option<JoinHandle<()>>,
    end: Arc<Mutex<ChannelEnd>>,
}

struct Server {
    handler: FrontendReqHandler<Vmm>,
    vmm: Arc<Vmm>,
    socket: UnixStream,
    connection: OwnedFd,
    control: Arc<Control>,
    rules: Rules,
    script: Arc<Mutex<Script>>,
    /// The number of requests so far, by kind.
    seen: [u64; 4],
}

impl Channel {
    /// Makes a channel. Returns it with the end that is handed to the daemon.
    pub(super) fn start(
        vmm: Arc<Vmm>,
        rules: Rules,
        control: &Arc<Control>,
        script: Arc<Mutex<Script>>,
    ) -> Result<(Self, OwnedFd), VhostError> {
        let local = |what| move |source| VhostError::Local { what, source };
        let failed = local("make the back-end channel");
        let handler = FrontendReqHandler::new(Arc::clone(&vmm));
        let handler = handler.map_err(|error| failed(io::Error::other(error)))?;
        let theirs = duplicate(handler.get_tx_raw_fd()).map_err(failed)?;
        let ours = UnixStream::from(duplicate(handler.as_raw_fd()).map_err(failed)?);
        let connection = control.connection.try_clone().map_err(failed)?;
        let held = vmm.held().clone();
        let server = Server {
            handler,
            vmm: Arc::clone(&vmm),
            socket: ours.try_clone().map_err(failed)?,
            connection: connection.into(),
            control: Arc::clone(control),
            rules,
            script,
            seen: [0; 4],
        };
        let end = Arc::new(Mutex::new(ChannelEnd::Open));
        let reported = Arc::clone(&end);
        let run = move || {
            let why = server.serve();
            *reported.lock() = why;
        };
        let thread = thread::Builder::new().name("vmm".to_owned()).spawn(run);
        let channel = Self {
            socket: ours,
            vmm,
            held,
            thread: Some(thread.map_err(local("start a thread"))?),
            end,
        };
        Ok((channel, theirs))
    }

    pub(super) fn end(&self) -> ChannelEnd {
        self.end.lock().clone()
    }

    /// Applies other rules from now on.
    pub(super) fn change_rules(&self, rules: Rules) {
        self.vmm.change_rules(rules);
    }

    /// Closes the channel under the daemon.
    pub(super) fn close(&self) {
        // Fails only if the socket is closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Waits until the channel is no longer served.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The thread's panic has been reported already.
            let _ = thread.join();
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.held.close();
        self.close();
        self.join();
    }
}

impl Server {
    fn serve(mut self) -> ChannelEnd {
        loop {
            match self.next_call() {
                Ok(Ok(call)) => {
                    let action = self.script.lock().decide(&call);
                    if let Some(end) = self.serve_one(call.kind, action) {
                        return end;
                    }
                }
                Ok(Err(end)) => return end,
                Err(error) => return ChannelEnd::Broken(error.to_string()),
            }
        }
    }

    /// Carries out the script's action, or else what the rules say.
    fn serve_one(&mut self, kind: CallKind, action: Action) -> Option<ChannelEnd> {
        if let Action::Hold(gate) = &action {
            self.vmm.held().wait_at(gate);
        }
        let control = Arc::clone(&self.control);
        let shared = self.rules.main_loop == MainLoop::Shared;
        let _busy = shared.then(|| control.main_loop());
        match &action {
            Action::CloseChannel => {
                let _ = self.socket.shutdown(Shutdown::Both);
                return Some(ChannelEnd::Closed);
            }
            Action::Refuse(errno) => self.vmm.answer_next(Err(*errno)),
            Action::Answer(payload) => self.vmm.answer_next(Ok(*payload)),
            Action::HoldEffect(gate) => self.vmm.hold_next(gate.clone()),
            _ => {}
        }
        let answers = !matches!(action, Action::NeverAnswer);
        self.handler.set_reply_ack_flag(answers);
        let served = self.handler.handle_request();
        if matches!(action, Action::AnswerTwice) {
            self.answer_again(kind);
        }
        self.vmm.commit();
        match served {
            Ok(_) | Err(Error::ReqHandlerError(_)) => None,
            Err(Error::Disconnected) => Some(ChannelEnd::Closed),
            Err(error) => Some(ChannelEnd::Broken(error.to_string())),
        }
    }

    /// Waits for a request and reads it, without taking it off the channel.
    fn next_call(&mut self) -> io::Result<Result<Call, ChannelEnd>> {
        let mut bytes = [0; HEADER + size_of::<VhostUserMMap>()];
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.connection, PollFlags::RDHUP),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            other => drop(other?),
        }
        let request = !fds[0].revents().is_empty();
        if !request && !fds[1].revents().is_empty() {
            return Ok(Err(ChannelEnd::Disconnected));
        }
        let (_, there) = recv(&self.socket, &mut bytes, RecvFlags::PEEK)?;
        if there == 0 {
            return Ok(Err(ChannelEnd::Closed));
        }
        Ok(Ok(self.call(&bytes[..there])))
    }

    fn call(&mut self, bytes: &[u8]) -> Call {
        let code = bytes
            .first_chunk()
            .map_or(0, |code| u32::from_le_bytes(*code));
        let (kind, place) = match BackendReq::try_from(code) {
            Ok(BackendReq::SHMEM_MAP) => (CallKind::Map, 0),
            Ok(BackendReq::SHMEM_UNMAP) => (CallKind::Unmap, 1),
            Ok(BackendReq::SHARED_OBJECT_REMOVE) => (CallKind::Fence, 2),
            _ => (CallKind::Other(code), 3),
        };
        let nth = self.seen[place];
        self.seen[place] += 1;
        let mut request = VhostUserMMap::default();
        if place < 2 && bytes.len() == HEADER + size_of::<VhostUserMMap>() {
            request.as_mut_slice().copy_from_slice(&bytes[HEADER..]);
        }
        let (at, len) = (WindowOffset(request.shm_offset), request.len);
        Call { kind, nth, at, len }
    }

    /// Sends a second success, which the daemon has not asked for.
    fn answer_again(&self, kind: CallKind) {
        let code = match kind {
            CallKind::Map => BackendReq::SHMEM_MAP as u32,
            CallKind::Unmap => BackendReq::SHMEM_UNMAP as u32,
            CallKind::Fence => BackendReq::SHARED_OBJECT_REMOVE as u32,
            CallKind::Other(code) => code,
        };
        let answer = [code, REPLY_FLAGS, 8, 0, 0].map(u32::to_le_bytes);
        // A daemon that has ended needs no answer.
        let _ = send(&self.socket, answer.as_flattened(), SendFlags::NOSIGNAL);
    }
}

fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: the caller's object owns the descriptor and is alive. The descriptor is duplicated at
    // once.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

#[cfg(test)]
mod tests;
