// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Fifth stage: the daemon drops the privileges that it doesn't need.
//!
//! The order is virtiofsd's: sandbox, system call filter, capabilities. The daemon waits for the
//! views before, since it can open and mount nothing for them afterwards.

use std::error::Error;
use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use log::{info, warn};
use shared_window::{Access, StartingViews, ViewSource, WindowSize};
use vhost::vhost_user::Listener;
use virtiofsd::sandbox::Sandbox;

use super::checks::Checked;
use super::error::StartError;
use super::mount_points;
use super::serve::Confined;
use super::stop::DeathPipe;
use crate::config::{Config, Confinement, HostTruncate, MaxRegions, RequestedSize, Share};
use crate::device::{SessionOptions, SessionWindow, VmmSocket};
use crate::log::ErrorChain;
use crate::metrics::{Names, Observer, Place, Server};
use crate::sandbox::{capabilities, seccomp};

/// The daemon's process after the fork, not yet confined.
#[derive(Debug)]
pub(super) struct Unconfined {
    pub(super) checked: Checked,
    pub(super) listener: UnixListener,
    /// Where to serve metrics, with `--metrics`.
    pub(super) metrics: Option<Place>,
    /// The client of the view server, if a window is wanted.
    pub(super) views: Option<StartingViews>,
    /// Reaches its end when the companion ends, which serves the views.
    pub(super) end_of_views: DeathPipe,
    /// Reaches its end when the supervisor ends.
    pub(super) parent_death: DeathPipe,
    /// Tells the supervisor that the daemon is ending.
    pub(super) says_end: PipeWriter,
    /// Held until the daemon ends.
    pub(super) liveness_pipe: Option<PipeWriter>,
}

impl Unconfined {
    /// Enters the sandbox, and drops all privileges that serving doesn't need.
    ///
    /// With `--sandbox=namespace` this returns in the inner process only. The outer process waits
    /// for the inner one in virtiofsd's code, and exits there.
    pub(super) fn confine(self) -> Result<Confined, StartError> {
        let Checked {
            config,
            stop,
            capabilities: kept,
            window,
            regions,
            guest_fd_limit,
        } = self.checked;
        let window = make_window(window, regions, self.views, &config);
        let (listener, mut share) =
            enter_sandbox(config.share, &config.confinement, self.listener)?;
        share.passthrough.guest_fd_limit = guest_fd_limit;
        let (observer, metrics) = match self.metrics {
            Some(place) => {
                let server = Server::new(place).map_err(StartError::system("serve metrics"))?;
                (Some(observer(&share)?), Some(server))
            }
            None => (None, None),
        };
        let socket = VmmSocket::around(listener).map_err(StartError::system("make sockets"))?;
        let more = seccomp::More {
            syslog: config.logging.syslog,
            metrics: observer.is_some(),
        };
        seccomp::load(config.confinement.seccomp, more).map_err(StartError::Seccomp)?;
        capabilities::keep(&kept).map_err(StartError::DropCapabilities)?;
        let keep_files = share.opens_files_anew();
        Ok(Confined {
            share,
            socket,
            options: SessionOptions {
                device: config.device,
                observer,
                keep_files,
            },
            window,
            metrics,
            stop,
            end_of_views: self.end_of_views,
            parent_death: self.parent_death,
            says_end: self.says_end,
            liveness_pipe: self.liveness_pipe,
        })
    }
}

/// The collector of per-file metrics. It finds a file's name by its link in /proc, from a directory
/// that the sandbox lets the file system read.
fn observer(share: &Share) -> Result<Arc<Observer>, StartError> {
    let links = match &share.passthrough.proc_sfd_rawfd {
        Some(links) => links.try_clone(),
        None => File::open("/proc/self/fd"),
    };
    let links = links.map_err(StartError::file("open", "/proc/self/fd"))?;
    Ok(Arc::new(Observer::new(Names::new(links))))
}

/// The window, if this host can make its views, or if the operator asked for a window. Otherwise
/// the share is served without a window, and the log gives the reason.
fn make_window(
    size: Option<RequestedSize>,
    regions: MaxRegions,
    views: Option<StartingViews>,
    config: &Config,
) -> Option<SessionWindow<Arc<dyn ViewSource>>> {
    let size = WindowSize::new(size?.bytes())
        .inspect_err(|error| warn!("no DAX window: {}", ErrorChain(error)))
        .ok()?;
    let ready = views.and_then(|views| {
        let ready = views.wait_ready();
        ready.inspect_err(|error| warn_of_views(config, error)).ok()
    });
    let window = match ready {
        Some(views) => {
            if let Some(reason) = views.unguarded() {
                warn!("--host-truncate=refuse refuses nothing here: {reason}");
            }
            SessionWindow::new(size, views, config.dax).with_host_truncate(config.host_truncate)
        }
        None if config.window.is_explicit() => {
            if config.host_truncate == HostTruncate::Refuse {
                warn!("--host-truncate=refuse refuses nothing here: it needs views of files");
            }
            let access = if config.share.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            };
            SessionWindow::of_plain_files(size, access, config.dax)
        }
        None => return None,
    };
    info!("DAX window of {} MiB", size.bytes() >> 20);
    let window = window.within(regions);
    Some(config.faults.iter().fold(window, |window, &fault| {
        warn!("--fault {fault}: {}; for tests only", fault.consequence());
        window.with_fault(fault)
    }))
}

/// Logs what a lack of views means for the share.
pub(super) fn warn_of_views(config: &Config, error: &(dyn Error + 'static)) {
    let reason = ErrorChain(error);
    if config.window.is_explicit() {
        warn!("the DAX window is only for a VMM that maps files as they are: {reason}");
    } else {
        warn!("no DAX window: {reason}");
    }
}

/// Enters virtiofsd's sandbox, and sets what the file system needs to know about it.
fn enter_sandbox(
    mut share: Share,
    confinement: &Confinement,
    listener: UnixListener,
) -> Result<(Listener, Share), StartError> {
    let mut sandbox = Sandbox::new(
        share.dir.clone(),
        confinement.sandbox,
        confinement.uid_map.clone(),
        confinement.gid_map.clone(),
    );
    share.passthrough.mountinfo_prefix = sandbox
        .get_mountinfo_prefix()
        .map_err(StartError::file("resolve", &share.dir))?;
    // The outer process of the namespace sandbox closes this listener itself.
    let listener = sandbox
        .enter(vhost_016::vhost_user::Listener::from(listener))
        .map_err(StartError::Sandbox)?;
    share.passthrough.root_dir = sandbox.get_root_dir();
    share.passthrough.proc_sfd_rawfd = sandbox.get_proc_self_fd();
    share.passthrough.proc_mountinfo_rawfd = sandbox.get_mountinfo_fd();
    let prefix = share.passthrough.mountinfo_prefix.clone();
    let below = prefix.unwrap_or_else(|| share.passthrough.root_dir.clone());
    mount_points::avoid_misread(&mut share.passthrough, &below)
        .map_err(StartError::file("read", "/proc/self/mountinfo"))?;
    Ok((modern(&listener)?, share))
}

/// Converts the listener to the version of vhost that the transport uses.
fn modern(listener: &vhost_016::vhost_user::Listener) -> Result<Listener, StartError> {
    // SAFETY: `listener` keeps the descriptor open, and outlives the borrow.
    let fd = unsafe { BorrowedFd::borrow_raw(listener.as_raw_fd()) };
    let listener = fd
        .try_clone_to_owned()
        .map_err(StartError::system("duplicate the socket"))?;
    Ok(UnixListener::from(listener).into())
}
