// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Last stage: the daemon serves until its VMM disconnects or it is asked to stop.
//!
//! The main thread does not serve but waits. A request to stop returns from here and then from
//! `main`, whatever the serving threads are doing. To end them like that is as safe as to be
//! killed, which the guest's files must survive anyway: each request with a reply has been passed
//! to the kernel.

use std::io::{PipeWriter, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use log::info;
use shared_window::ViewSource;
use virtiofsd::filesystem::{FileSystem, SerializableFileSystem};
use virtiofsd::passthrough::PassthroughFs;
use virtiofsd::passthrough::read_only::PassthroughFsRo;

use super::error::StartError;
use super::run::ExitStatus;
use super::stop::{DeathPipe, StopRequests};
use crate::config::Share;
use crate::device::{Session, SessionError, SessionOptions, SessionWindow, VmmSocket};
use crate::fs::WindowNegotiated;
use crate::metrics::{Metrics, Server, SnapshotSource, Source};

/// A daemon that has dropped all privileges that it can.
pub(super) struct Confined {
    pub(super) share: Share,
    pub(super) socket: VmmSocket,
    pub(super) options: SessionOptions,
    pub(super) window: Option<SessionWindow<Arc<dyn ViewSource>>>,
    /// The metrics server, with `--metrics`.
    pub(super) metrics: Option<Server>,
    pub(super) stop: StopRequests,
    /// Reaches its end when the companion ends.
    pub(super) end_of_views: DeathPipe,
    pub(super) parent_death: DeathPipe,
    /// Tells the supervisor that this process is ending, by a byte: a close would not do, since
    /// virtiofsd's outer process holds the pipe, too.
    pub(super) says_end: PipeWriter,
    /// Held until this process ends.
    pub(super) liveness_pipe: Option<PipeWriter>,
}

/// Why serving is over.
enum End {
    /// The back end returned.
    Served(Result<(), SessionError>),
    /// The back end panicked.
    Panicked,
    /// A signal asked the daemon to stop.
    Asked,
    /// The supervisor is gone.
    Abandoned,
}

impl Confined {
    /// Serves.
    pub(super) fn serve(self) -> Result<ExitStatus, StartError> {
        let Self {
            share,
            socket,
            options,
            window,
            metrics: server,
            stop,
            end_of_views,
            parent_death,
            mut says_end,
            liveness_pipe,
        } = self;
        let (ends, end) = mpsc::channel();
        report("stop", ends.clone(), move || {
            stop.wait();
            End::Asked
        })?;
        report("parent-death", ends.clone(), move || {
            parent_death.wait();
            End::Abandoned
        })?;
        let has_views = window.as_ref().is_some_and(|window| !window.plain);
        let BackEnd {
            run,
            metrics,
            look,
            negotiated,
        } = open(share, socket, options, window)?;
        if let Some(negotiated) = negotiated.filter(|_| has_views) {
            start("companion", move || {
                end_of_views.wait();
                negotiated.lose_views();
            })?;
        }
        if let Some(server) = server {
            let source = Source::new(Arc::clone(&metrics), look);
            let started = server.start(source);
            started.map_err(StartError::system("start a thread"))?;
        }
        // virtiofsd's words. Kata Containers starts its VM when it has read them.
        info!("Waiting for vhost-user socket connection...");
        report("serve", ends, move || {
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(result) => End::Served(result),
                Err(_) => End::Panicked,
            }
        })?;
        let end = end.recv();
        info!("counters: {metrics}");
        drop(liveness_pipe);
        // Fails if the supervisor is gone.
        let _ = says_end.write_all(&[0]);
        match end {
            Ok(End::Served(Ok(()))) => info!("the VMM has disconnected"),
            Ok(End::Served(Err(error))) => return Err(StartError::Serve(error)),
            Ok(End::Asked) => info!("asked to stop"),
            Ok(End::Abandoned) => info!("the supervisor is gone, stopping"),
            Ok(End::Panicked) | Err(_) => return Err(StartError::Panicked),
        }
        Ok(ExitStatus::Orderly)
    }
}

/// Runs `wait` in a thread of its own, and sends its result to `ends`.
fn report(
    name: &str,
    ends: Sender<End>,
    wait: impl FnOnce() -> End + Send + 'static,
) -> Result<(), StartError> {
    // Fails once serving is over: the receiver is gone then, and not needed.
    start(name, move || drop(ends.send(wait())))
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(StartError::system("start a thread"))
}

/// A back end, ready to serve.
struct BackEnd {
    run: Box<dyn FnOnce() -> Result<(), SessionError> + Send>,
    /// Can be read whatever the serving threads are doing.
    metrics: Arc<Metrics>,
    look: Arc<dyn SnapshotSource>,
    negotiated: Option<WindowNegotiated>,
}

/// Opens the share and makes a back end for it.
fn open(
    share: Share,
    socket: VmmSocket,
    options: SessionOptions,
    window: Option<SessionWindow<Arc<dyn ViewSource>>>,
) -> Result<BackEnd, StartError> {
    let dir = share.dir;
    let failed = |source| StartError::FileSystem { dir, source };
    if share.read_only {
        let fs = PassthroughFsRo::new(share.passthrough).map_err(failed)?;
        back_end(fs, socket, options, window)
    } else {
        let fs = PassthroughFs::new(share.passthrough).map_err(failed)?;
        back_end(fs, socket, options, window)
    }
}

fn back_end<F>(
    fs: F,
    socket: VmmSocket,
    options: SessionOptions,
    window: Option<SessionWindow<Arc<dyn ViewSource>>>,
) -> Result<BackEnd, StartError>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
{
    let session = Session::new(fs, options, window).map_err(StartError::Serve)?;
    Ok(BackEnd {
        metrics: session.metrics(),
        look: session.snapshot_source(),
        negotiated: session.window(),
        run: Box::new(move || session.run_at(socket)),
    })
}
