// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Serving one front end: the seam between the start of the daemon and its back end.

use std::num::NonZeroU16;
use std::sync::Arc;

use shared_window::{Upgrade, ViewClient, WindowOptions, WindowSize};
use vhost::vhost_user::Listener;
use virtiofsd::filesystem::{FileSystem, SerializableFileSystem};

use crate::backend::{Session, SessionError, SessionOptions, SessionWindow};
use crate::config::DaxPolicy;

/// Why serving did not begin or did not end well.
pub type ServeError = SessionError;

/// How to serve.
#[derive(Debug)]
pub struct Serving {
    /// Mount tag that the device shows, if it shows one; at most 36 bytes.
    pub tag: Option<String>,
    /// Request queues, beside the high priority queue; at most 63.
    pub request_queues: NonZeroU16,
    /// Threads that process requests; 0 for one thread a queue.
    pub thread_pool_size: usize,
    /// Which files are named to the guest, where there is a window.
    pub dax: DaxPolicy,
    /// The window, if there is to be one.
    pub window: Option<WindowSetup>,
}

/// What a window is made of.
#[derive(Debug)]
pub struct WindowSetup {
    /// Its size.
    pub size: WindowSize,
    /// The companion process that opens views of files.
    pub views: ViewClient,
    /// How a read-only mapping becomes writable.
    pub upgrade: Upgrade,
}

/// Accepts one front end on `listener`, serves `fs` to it, and returns when it disconnects.
///
/// # Errors
/// When the threads that were asked for cannot be had, or the connection failed.
pub fn serve<F>(fs: F, listener: Listener, serving: Serving) -> Result<(), ServeError>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
{
    let options = SessionOptions {
        tag: serving.tag,
        request_queues: serving.request_queues.get().into(),
        thread_pool_size: serving.thread_pool_size,
    };
    let window = serving.window.map(|window| SessionWindow {
        size: window.size,
        views: Arc::new(window.views),
        options: WindowOptions {
            upgrade: window.upgrade,
            ..WindowOptions::default()
        },
        policy: serving.dax,
    });
    Session::new(fs, options, window)?.run(listener)
}
