// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One connection: reads the host's messages and carries them out.
//!
//! The reading thread never waits for a command or a file system, so the host's messages always
//! arrive: stream bytes go into queues that the credit bounds, requests to threads.

use std::{fs::File, sync::Arc, thread, time::Duration};

use anyhow::Context;

use crate::agent::{
    boot,
    children::Children,
    exec::Execs,
    outbox::Outbox,
    port::Port,
    requests,
    shutdown::{self, Cause, Ending},
};
use crate::wire::{Boot, Decoder, Failure, Request, RequestId, ToGuest, ToHost};

const READ_BYTES: usize = 64 * 1024;

/// How often the agent sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The role of this process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A guest's first process, which may end the guest.
    Init,
    /// An ordinary process.
    Process,
}

/// Serves the host until it closes the connection, and then kills all commands.
pub(crate) fn serve(
    port: File,
    boot: Boot,
    role: Role,
    children: &Arc<Children>,
) -> anyhow::Result<()> {
    let port = Arc::new(Port::new(port));
    let outbox = Outbox::open(Arc::clone(&port), boot).context("can't greet the host")?;
    let outbox = Arc::new(outbox);
    let heart = Arc::clone(&outbox);
    thread::spawn(move || beat(&heart));
    let server = Server {
        execs: Execs::new(Arc::clone(children), Arc::clone(&outbox)),
        children: Arc::clone(children),
        outbox,
        role,
    };
    let ended = server.read(&port);
    children.kill_all();
    ended
}

struct Server {
    execs: Arc<Execs>,
    children: Arc<Children>,
    outbox: Arc<Outbox>,
    role: Role,
}

impl Server {
    fn read(&self, port: &Port) -> anyhow::Result<()> {
        let mut decoder = Decoder::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let len = port.read(&mut buffer).context("can't read the port")?;
            if len == 0 {
                return Ok(());
            }
            decoder.push(&buffer[..len]);
            while let Some(message) = decoder.next().context("can't understand the host")? {
                self.dispatch(message);
            }
        }
    }

    fn dispatch(&self, message: ToGuest) {
        let execs = &self.execs;
        match message {
            ToGuest::Request { id, request } => self.request(id, request),
            ToGuest::Exec { exec, command } => execs.start(exec, &command),
            ToGuest::Stdin { exec, bytes } => execs.stdin(exec, bytes),
            ToGuest::StdinEof { exec } => execs.end_stdin(exec),
            ToGuest::Credit {
                exec,
                output,
                bytes,
            } => execs.credit(exec, output, bytes),
            ToGuest::CloseOutput { exec, output } => execs.close_output(exec, output),
            ToGuest::Resize { exec, size } => execs.resize(exec, size),
            ToGuest::Signal { exec, signal } => execs.signal(exec, signal),
        }
    }

    fn request(&self, id: RequestId, request: Request) {
        let outbox = Arc::clone(&self.outbox);
        let children = Arc::clone(&self.children);
        let role = self.role;
        thread::spawn(move || {
            let ending = match request {
                Request::PowerOff => Ending::PowerOff,
                Request::Reboot => Ending::Reboot,
                other => {
                    let outcome = requests::perform(other);
                    return outbox.send(&ToHost::Reply { id, outcome });
                }
            };
            if role == Role::Init {
                let asked = Cause::Asked {
                    id,
                    outbox: &outbox,
                };
                shutdown::shut_down(ending, &children, asked);
            }
            outbox.send(&ToHost::Reply {
                id,
                outcome: Err(Failure {
                    errno: None,
                    message: "this agent is not the first process of a guest".into(),
                }),
            });
        });
    }
}

fn beat(outbox: &Outbox) -> ! {
    loop {
        // This is a wait for time, not for a condition.
        thread::sleep(HEARTBEAT);
        outbox.send(&ToHost::Heartbeat {
            uptime_ms: boot::uptime_ms(),
        });
    }
}
