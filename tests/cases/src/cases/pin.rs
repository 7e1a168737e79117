// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The pins by name, and how each one is taken and proven to be held.

use anyhow::{Error, Result, bail, ensure};
use guest_agent::files::{Open, Where};
use guest_agent::pattern::{self, Seed};
use guest_agent::pins::{AioSubmit, DirectIo, Transfer, UringSubmit, Vmsplice, ZeroCopySend};

use super::contract::Reference;
use super::files::Page;
use super::held::Held;
use crate::host::{self, FileSystem, Pending, RequestKind, Rig, Server, Worker};

/// A way to hold a reference to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// read(2) from the disk into the page.
    DioRead,
    /// write(2) of the page to the disk.
    DioWrite,
    /// A read from the disk into the page, by Linux AIO.
    AioRead,
    /// A write of the page to the disk, by Linux AIO.
    AioWrite,
    /// A read from the disk into the page, by io_uring.
    UringRead,
    /// A write of the page to the disk, by io_uring.
    UringWrite,
    /// read(2) from a file of FUSE, not accessed by DAX, into the page.
    FuseDioRead,
    /// write(2) of the page to such a file.
    FuseDioWrite,
    /// The page in a pipe.
    Vmsplice,
    /// The page in the queue of a TCP connection.
    ZeroCopy,
}

impl Pin {
    /// All pins.
    pub const ALL: [Self; 10] = [
        Self::DioRead,
        Self::DioWrite,
        Self::AioRead,
        Self::AioWrite,
        Self::UringRead,
        Self::UringWrite,
        Self::FuseDioRead,
        Self::FuseDioWrite,
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
            Self::FuseDioRead => "fuse-dio-read",
            Self::FuseDioWrite => "fuse-dio-write",
            Self::Vmsplice => "vmsplice",
            Self::ZeroCopy => "zerocopy",
        }
    }

    /// A sentence about the pin.
    pub fn about(self) -> &'static str {
        match self {
            Self::DioRead => "O_DIRECT pread(2) from a disk, whose reply is delayed, into the page",
            Self::DioWrite => "O_DIRECT pwrite(2) of the page to a disk whose reply is delayed",
            Self::AioRead => "the read by Linux AIO: the process goes on while the page is pinned",
            Self::AioWrite => "the write by Linux AIO",
            Self::UringRead => "the read by io_uring",
            Self::UringWrite => "the write by io_uring",
            Self::FuseDioRead => {
                "O_DIRECT pread(2) into the page from a file of FUSE without DAX, whose reply is \
                 delayed"
            }
            Self::FuseDioWrite => {
                "O_DIRECT pwrite(2) of the page to a file of FUSE without DAX, whose reply is \
                 delayed"
            }
            Self::Vmsplice => "vmsplice(2) of the page into a pipe that nobody reads",
            Self::ZeroCopy => "MSG_ZEROCOPY of the page to a TCP peer that does not read",
        }
    }

    /// The kind of reference, in 6.12. Linux 6.1 takes FOLL_GET for direct I/O of FUSE.
    pub fn reference(self) -> Reference {
        match self {
            Self::Vmsplice | Self::ZeroCopy => Reference::Get,
            _ => Reference::Pin,
        }
    }

    /// Whether a block device makes the transfer, so that the end of a bio ends the pin.
    pub fn ends_with_bio(self) -> bool {
        match self {
            Self::DioRead | Self::DioWrite | Self::AioRead | Self::AioWrite => true,
            Self::UringRead | Self::UringWrite => true,
            Self::FuseDioRead | Self::FuseDioWrite | Self::Vmsplice | Self::ZeroCopy => false,
        }
    }

    /// Whether a program of the guest reads the page at the pin's end.
    pub fn is_read_at_its_end(self) -> bool {
        matches!(self, Self::Vmsplice | Self::ZeroCopy)
    }

    /// Whether the page gets the server's data at the pin's end.
    pub fn writes_page(self) -> bool {
        matches!(
            self,
            Self::DioRead | Self::AioRead | Self::UringRead | Self::FuseDioRead
        )
    }

    fn reads_page(self) -> bool {
        matches!(
            self,
            Self::DioWrite | Self::AioWrite | Self::UringWrite | Self::FuseDioWrite
        )
    }

    /// The server that delays the reply to the pin's transfer.
    pub(super) fn server(self, rig: &Rig) -> Server<'_> {
        match self {
            Self::FuseDioRead | Self::FuseDioWrite => Server::Share(rig.held_share()),
            _ => Server::Disk(rig.disk()),
        }
    }

    /// Takes the pin and proves that it is held.
    ///
    /// # Errors
    ///
    /// If the pin can't be taken, or is not held.
    pub async fn take(
        self,
        pinner: &mut Worker,
        fs: FileSystem,
        page: &Page,
        rig: &Rig,
    ) -> Result<Held> {
        let transfer = Transfer {
            map: page.map.clone(),
            at: page.at,
            len: page.len,
            device: "disk".to_owned(),
            offset: page.disk_at,
            write: self.reads_page(),
        };
        let name = page.pin();
        let map = page.map.clone();
        let (at, len) = (page.at, page.len);
        let mut in_call = None;
        let proof = match self {
            Self::DioRead | Self::DioWrite => {
                let call = in_call.insert(pinner.begin(DirectIo(transfer)).await?);
                self.delayed_in(pinner, call, page, rig).await?
            }
            Self::FuseDioRead | Self::FuseDioWrite => {
                let device = held_file(pinner, fs).await?;
                let transfer = Transfer { device, ..transfer };
                let call = in_call.insert(pinner.begin(DirectIo(transfer)).await?);
                self.delayed_in(pinner, call, page, rig).await?
            }
            Self::AioRead | Self::AioWrite => {
                pinner.ask(AioSubmit { name, transfer }).await?;
                self.delayed(page, rig).await?
            }
            Self::UringRead | Self::UringWrite => {
                pinner.ask(UringSubmit { name, transfer }).await?;
                self.delayed(page, rig).await?
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

    /// The same for a request that a system call makes. The call must not end meanwhile.
    async fn delayed_in(
        self,
        pinner: &mut Worker,
        call: &Pending<DirectIo>,
        page: &Page,
        rig: &Rig,
    ) -> Result<String> {
        tokio::select! {
            proof = self.delayed(page, rig) => proof,
            done = pinner.done(call) => match done?.outcome {
                Ok(count) => bail!("{count} bytes were transferred, and no request came"),
                Err(fault) => Err(Error::new(fault).context("the transfer that is to pin the page")),
            },
        }
    }

    /// Waits until the request that pins the page has come to the server, and checks that the
    /// request carries the page's bytes.
    async fn delayed(self, page: &Page, rig: &Rig) -> Result<String> {
        let server = self.server(rig);
        let request = server.held(page.disk_at).await?;
        let kind = if self.reads_page() {
            RequestKind::Write
        } else {
            RequestKind::Read
        };
        ensure!(
            request.kind == kind && request.len as usize == page.len,
            "{server} got another request: {:?} of {} bytes",
            request.kind,
            request.len
        );
        if self.reads_page() {
            let wrong = pattern::check(Seed(page.seed), page.offset, &request.data);
            if let Err(wrong) = wrong {
                bail!("{server} was sent another page: {wrong}");
            }
        }
        Ok(format!(
            "{server} delays its reply to a {kind:?} of {} bytes",
            request.len
        ))
    }
}

/// Opens the delaying file for a page of `fs`, and proves that the file is on FUSE and not
/// accessed by DAX.
pub(super) async fn held_file(pinner: &mut Worker, fs: FileSystem) -> Result<String> {
    let name = "held-file".to_owned();
    let path = host::held_file(fs);
    let open = Open {
        name: name.clone(),
        path: path.clone(),
        direct: true,
    };
    pinner.ask(open).await?;
    let standing = pinner.ask(Where { path: path.clone() }).await?;
    ensure!(
        standing.fstype == "virtiofs" && !standing.dax,
        "{path} is no file of a share without DAX: {standing:?}"
    );
    Ok(name)
}
