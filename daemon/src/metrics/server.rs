// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Accepts connections and answers requests, all on one thread.
//!
//! Every resource that a client can use has a bound: the number of connections, the size of a
//! request, the time for its header, and the duration of a connection. Further clients wait in the
//! kernel's queue until a connection ends.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use log::error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::place::{Listener, Place};
use super::route;
use super::source::Source;

/// Most connections at a time.
pub const MOST_CONNECTIONS: usize = 32;
/// Most headers of a request, and most bytes of them all.
const MOST_HEADERS: usize = 64;
const LONGEST_HEAD: usize = 16 << 10;
/// How long a client may take to send a request's header, also for the next request of a
/// connection.
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// A connection ends after this, whatever the client does; it may connect anew.
const LONGEST_CONNECTION: Duration = Duration::from_secs(60);
/// A response that is under way then may still be taken for this long.
const GRACE: Duration = Duration::from_secs(5);
/// Pause between a failed accept, for example without a free descriptor, and the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// A server without its metrics. It is made before the system call filter is loaded: the system
/// calls that make an event loop depend on how the program was built.
pub struct Server {
    runtime: Runtime,
    place: Place,
}

impl Server {
    /// Prepares to serve metrics there.
    ///
    /// # Errors
    /// If the host has no event loop for it (epoll).
    pub fn new(place: Place) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        Ok(Self { runtime, place })
    }

    /// Serves metrics from now on, until the process ends.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(self, source: Source) -> io::Result<()> {
        let Self { runtime, place } = self;
        let serve = move || {
            if let Err(error) = runtime.block_on(serve(place, source)) {
                error!("metrics are not served any more: {error}");
            }
        };
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(serve)
            .map(drop)
    }
}

async fn serve(place: Place, source: Source) -> io::Result<()> {
    let desk = Arc::new(Desk {
        only_local: place.only_by_local_names(),
        source,
    });
    let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    match place.listener {
        Listener::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let seat = take(&seats).await?;
                match listener.accept().await {
                    Ok((stream, _)) => desk.attend(stream, seat),
                    Err(_) => sleep(PAUSE).await,
                }
            }
        }
        Listener::Unix(listener) => {
            let listener = UnixListener::from_std(listener)?;
            loop {
                let seat = take(&seats).await?;
                match listener.accept().await {
                    Ok((stream, _)) => desk.attend(stream, seat),
                    Err(_) => sleep(PAUSE).await,
                }
            }
        }
    }
}

async fn take(seats: &Arc<Semaphore>) -> io::Result<OwnedSemaphorePermit> {
    let seat = Arc::clone(seats).acquire_owned().await;
    seat.map_err(io::Error::other)
}

/// Where requests are answered.
struct Desk {
    only_local: bool,
    source: Source,
}

impl Desk {
    fn attend<T>(self: &Arc<Self>, stream: T, seat: OwnedSemaphorePermit)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let answer = |request| {
                std::future::ready(route::answer(&desk.source, desk.only_local, &request))
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_WITHIN)
                .max_headers(MOST_HEADERS)
                .max_buf_size(LONGEST_HEAD)
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            let mut connection = pin!(connection);
            // A client that disconnects, or sends an invalid request, is not logged.
            if timeout(LONGEST_CONNECTION, connection.as_mut())
                .await
                .is_err()
            {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(GRACE, connection).await;
            }
            drop(seat);
        });
    }
}
