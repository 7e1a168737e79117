// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A pin that is held, its release and its end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use guest_agent::pins::{AioReap, DirectIo, Drain, UringReap, ZeroCopyReceive};
use guest_agent::worker::Span;

use super::files::Page;
use super::pin::Pin;
use crate::host::{Pending, Rig, Worker};

/// How long the end of a pin may take once it has been released.
const END_DEADLINE: Duration = Duration::from_secs(120);

/// A pin that is held.
pub struct Held {
    pub(super) pin: Pin,
    /// The system call that the pinner is in.
    pub(super) in_call: Option<Pending<DirectIo>>,
    /// The proof that the pin is held.
    pub proof: String,
}

/// A pin that has ended.
pub struct Ended {
    /// When it was released, on the host's clock.
    pub released: Instant,
    /// When its end was seen in the guest.
    pub span: Span,
    /// The guest's clock before the release, in nanoseconds, if the guest releases the pin. What the
    /// server releases has no time on that clock: the guest may look for the end of a transfer only
    /// after the removal has returned.
    pub released_ns: Option<u64>,
    /// Data that a reader received and should not have.
    pub leaked: Option<String>,
    /// The transfer's error, if it had one.
    pub failed: Option<String>,
}

impl Held {
    /// Whether the page gets the server's data at the pin's end.
    pub fn writes_page(&self) -> bool {
        self.pin.writes_page()
    }

    /// Releases the pin and waits for its end.
    ///
    /// # Errors
    ///
    /// If the pin does not end.
    pub async fn release(self, pinner: &mut Worker, page: &Page, rig: &Rig) -> Result<Ended> {
        let server = self.pin.server(rig);
        let name = page.pin();
        match self.pin {
            Pin::DioRead | Pin::DioWrite | Pin::FuseDioRead | Pin::FuseDioWrite => {
                let pending = self.in_call.context("the pinner is in no call")?;
                let released = server.release(page.disk_at).await?;
                transferred(pinner, pending, released, page.len).await
            }
            Pin::AioRead | Pin::AioWrite => {
                let pending = pinner.begin(AioReap { name }).await?;
                let released = server.release(page.disk_at).await?;
                transferred(pinner, pending, released, page.len).await
            }
            Pin::UringRead | Pin::UringWrite => {
                let pending = pinner.begin(UringReap { name }).await?;
                let released = server.release(page.disk_at).await?;
                transferred(pinner, pending, released, page.len).await
            }
            Pin::Vmsplice => {
                let released = Instant::now();
                let drain = Drain {
                    name,
                    len: page.len,
                    offset: page.offset,
                    seed: page.seed,
                };
                let pending = pinner.begin(drain).await?;
                received(pinner, pending, released, |wrong| wrong).await
            }
            Pin::ZeroCopy => {
                let released = Instant::now();
                let receive = ZeroCopyReceive {
                    name,
                    len: page.len,
                    offset: page.offset,
                    seed: page.seed,
                };
                let pending = pinner.begin(receive).await?;
                received(pinner, pending, released, |got| got.wrong).await
            }
        }
    }
}

/// The end of a transfer between page and server.
async fn transferred<V: guest_agent::worker::Op<Yield = usize>>(
    pinner: &mut Worker,
    pending: Pending<V>,
    released: Instant,
    len: usize,
) -> Result<Ended> {
    let done = pinner.done_within(&pending, END_DEADLINE).await?;
    let done = done.ok_or_else(|| pinner.timed_out(&pending, END_DEADLINE))?;
    let failed = match done.outcome {
        Ok(count) if count == len => None,
        Ok(count) => Some(format!("{count} of {len} bytes were transferred")),
        Err(fault) => Some(fault.to_string()),
    };
    Ok(Ended {
        released,
        span: done.span,
        released_ns: None,
        leaked: None,
        failed,
    })
}

/// The end of a pin that ends when its page is read.
async fn received<V: guest_agent::worker::Op>(
    pinner: &mut Worker,
    pending: Pending<V>,
    released: Instant,
    wrong: impl FnOnce(V::Yield) -> Option<String>,
) -> Result<Ended> {
    let done = pinner.done_within(&pending, END_DEADLINE).await?;
    let done = done.ok_or_else(|| pinner.timed_out(&pending, END_DEADLINE))?;
    let (leaked, failed) = match done.outcome {
        Ok(got) => (wrong(got), None),
        Err(fault) => (None, Some(fault.to_string())),
    };
    Ok(Ended {
        released,
        span: done.span,
        released_ns: Some(done.span.began_ns),
        leaked,
        failed,
    })
}
