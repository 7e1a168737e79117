// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The pins by name, and the host's half of each: the proof that it is held, and its release.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use guest_probe::pattern::{self, Seed};

use super::contract::Reference;
use super::roles::Page;
use crate::actor::Span;
use crate::host::{Actor, Disk, Pending, RequestKind};
use crate::pins::{
    AioReap, AioSubmit, DirectIo, Drain, Transfer, UringReap, UringSubmit, Vmsplice,
    ZeroCopyReceive, ZeroCopySend,
};

/// How long the end of a pin may take once it has been released.
const END_DEADLINE: Duration = Duration::from_secs(120);
/// The actor's name for what it holds.
const HELD: &str = "pin";

/// A way to hold a reference to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// read(2) from the disk into the page.
    DioRead,
    /// write(2) of the page to the disk.
    DioWrite,
    /// The same by Linux AIO.
    AioRead,
    /// The same by Linux AIO.
    AioWrite,
    /// The same by io_uring.
    UringRead,
    /// The same by io_uring.
    UringWrite,
    /// The page in a pipe.
    Vmsplice,
    /// The page in the queue of a TCP connection.
    ZeroCopy,
}

impl Pin {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DioRead,
        Self::DioWrite,
        Self::AioRead,
        Self::AioWrite,
        Self::UringRead,
        Self::UringWrite,
        Self::Vmsplice,
        Self::ZeroCopy,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::DioRead => "dio-read",
            Self::DioWrite => "dio-write",
            Self::AioRead => "aio-read",
            Self::AioWrite => "aio-write",
            Self::UringRead => "uring-read",
            Self::UringWrite => "uring-write",
            Self::Vmsplice => "vmsplice",
            Self::ZeroCopy => "zerocopy",
        }
    }

    /// What it does, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::DioRead => {
                "O_DIRECT pread(2) from a disk, whose reply is withheld, into the page"
            }
            Self::DioWrite => "O_DIRECT pwrite(2) of the page to a disk whose reply is withheld",
            Self::AioRead => "the read by Linux AIO: the process goes on while the page is pinned",
            Self::AioWrite => "the write by Linux AIO",
            Self::UringRead => "the read by io_uring",
            Self::UringWrite => "the write by io_uring",
            Self::Vmsplice => "vmsplice(2) of the page into a pipe that nobody reads",
            Self::ZeroCopy => "MSG_ZEROCOPY of the page to a TCP peer that does not read",
        }
    }

    /// The kind of reference.
    pub fn reference(self) -> Reference {
        match self {
            Self::Vmsplice | Self::ZeroCopy => Reference::Get,
            _ => Reference::Pin,
        }
    }

    /// Whether the page gets the disk's data at the pin's end.
    pub fn writes_page(self) -> bool {
        matches!(self, Self::DioRead | Self::AioRead | Self::UringRead)
    }

    fn writes_disk(self) -> bool {
        matches!(self, Self::DioWrite | Self::AioWrite | Self::UringWrite)
    }

    /// Takes the pin and proves that it is held.
    ///
    /// # Errors
    ///
    /// If it can't be taken, or is not held.
    pub async fn take(self, pinner: &mut Actor, page: &Page, disk: &Disk) -> Result<Held> {
        let transfer = Transfer {
            map: page.map.clone(),
            at: page.at,
            len: page.len,
            device: "disk".to_owned(),
            offset: page.disk_at,
            write: self.writes_disk(),
        };
        let name = HELD.to_owned();
        let map = page.map.clone();
        let (at, len) = (page.at, page.len);
        let mut in_call = None;
        let proof = match self {
            Self::DioRead | Self::DioWrite => {
                in_call = Some(pinner.begin(DirectIo(transfer)).await?);
                self.withheld(page, disk).await?
            }
            Self::AioRead | Self::AioWrite => {
                pinner.ask(AioSubmit { name, transfer }).await?;
                self.withheld(page, disk).await?
            }
            Self::UringRead | Self::UringWrite => {
                pinner.ask(UringSubmit { name, transfer }).await?;
                self.withheld(page, disk).await?
            }
            Self::Vmsplice => {
                let held = pinner.ask(Vmsplice { name, map, at, len }).await?;
                ensure!(held == len as u64, "the pipe holds {held} of {len} bytes");
                format!("the pipe holds {held} bytes")
            }
            Self::ZeroCopy => {
                let queued = pinner.ask(ZeroCopySend { name, map, at, len }).await?;
                ensure!(queued >= len as u64, "only {queued} bytes are queued");
                format!("{queued} bytes are queued behind the peer's window")
            }
        };
        Ok(Held {
            pin: self,
            in_call,
            proof,
        })
    }

    /// The request that pins the page has come to the disk, and brings what the page has.
    async fn withheld(self, page: &Page, disk: &Disk) -> Result<String> {
        let request = disk.held(page.disk_at).await?;
        let kind = if self.writes_disk() {
            RequestKind::Write
        } else {
            RequestKind::Read
        };
        ensure!(
            request.kind == kind && request.len as usize == page.len,
            "the disk got another request: {:?} of {} bytes",
            request.kind,
            request.len
        );
        if self.writes_disk() {
            let wrong = pattern::check(Seed(page.seed), page.offset, &request.data);
            if let Err(wrong) = wrong {
                bail!("the disk was sent another page: {wrong}");
            }
        }
        Ok(format!(
            "the disk withholds its reply to a {kind:?} of {} bytes",
            request.len
        ))
    }
}

/// A pin that is held.
pub struct Held {
    pin: Pin,
    /// The system call that the pinner is in.
    in_call: Option<Pending<DirectIo>>,
    /// How it is known to be held.
    pub proof: String,
}

/// A pin that has ended.
pub struct Ended {
    /// When it was released, on the host's clock.
    pub released: Instant,
    /// When its end was seen in the guest.
    pub span: Span,
    /// What a reader got that it should not have.
    pub leaked: Option<String>,
    /// The transfer's error, if it had one.
    pub failed: Option<String>,
}

impl Held {
    /// Whether the page gets the disk's data at the pin's end.
    pub fn writes_page(&self) -> bool {
        self.pin.writes_page()
    }

    /// Releases the pin and waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn release(self, pinner: &mut Actor, page: &Page, disk: &Disk) -> Result<Ended> {
        let name = HELD.to_owned();
        match self.pin {
            Pin::DioRead | Pin::DioWrite => {
                let pending = self.in_call.context("the pinner is in no call")?;
                let released = disk.release(page.disk_at).await?;
                transferred(pinner, pending, released, page.len).await
            }
            Pin::AioRead | Pin::AioWrite => {
                let pending = pinner.begin(AioReap { name }).await?;
                let released = disk.release(page.disk_at).await?;
                transferred(pinner, pending, released, page.len).await
            }
            Pin::UringRead | Pin::UringWrite => {
                let pending = pinner.begin(UringReap { name }).await?;
                let released = disk.release(page.disk_at).await?;
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

/// The end of a transfer between page and disk.
async fn transferred<V: crate::actor::Verb<Yield = usize>>(
    pinner: &mut Actor,
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
        leaked: None,
        failed,
    })
}

/// The end of a pin that ends when its page is read.
async fn received<V: crate::actor::Verb>(
    pinner: &mut Actor,
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
        leaked,
        failed,
    })
}
