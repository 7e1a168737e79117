// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files and the actors of one case.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use guest_agent::files::{Create, Frame, FrameOf, Map, Open, Touch, TraceBusy, Where};
use guest_agent::removals::Removal;

use super::files::{FILE_SEED, FILLER_AT, Files, MAPPED, PAGE, Page, Place, RANGE, RANGES};
use super::filler::{pin_filler, worker_waits};
use super::removal::RemovalKind;
use crate::host::{FileSystem, Rig, Worker, WorkerError};

/// A case that has been set up.
pub struct Fixture {
    /// The files by their role.
    pub files: Files,
    /// The page.
    pub page: Page,
    /// The actor that pins.
    pub pinner: Worker,
    /// The actor that removes.
    pub remover: Worker,
    /// Where the file is, for the report.
    pub standing: Vec<String>,
    pub(super) kind: RemovalKind,
    /// The actor whose pin keeps the reclaim worker out of the case.
    pub filler: Option<Worker>,
    /// The page's frame number; `None` if the kernel does not show it.
    pub frame: Option<Frame>,
    /// The filler's transfer must not end before the guest does.
    pub(super) filler_lost: bool,
    /// The victim's length, once the victim has taken the freed space.
    pub(super) victim_len: Option<u64>,
    /// The removal has returned before the pin ended.
    pub(super) removed_first: bool,
    /// The range that was zeroed or exchanged has been written to since.
    pub(super) rewritten: bool,
}

impl Fixture {
    /// Makes the files, maps the page, and proves that it is a DAX page.
    ///
    /// # Errors
    ///
    /// If any step fails, or the file is not at its expected place.
    pub async fn set_up(rig: &mut Rig, fs: FileSystem, kind: RemovalKind) -> Result<Self> {
        let with_filler = kind == RemovalKind::ReclaimInline;
        Self::set_up_with(rig, fs, kind, with_filler, Place::of(kind)).await
    }

    /// The same, with another page or several.
    ///
    /// # Errors
    ///
    /// As [`Fixture::set_up`].
    pub(super) async fn set_up_at(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
        place: Place,
    ) -> Result<Self> {
        let with_filler = kind == RemovalKind::ReclaimInline;
        Self::set_up_with(rig, fs, kind, with_filler, place).await
    }

    /// The same, without a filler to keep the reclaim worker out.
    ///
    /// # Errors
    ///
    /// As [`Fixture::set_up`].
    pub async fn set_up_without_filler(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
    ) -> Result<Self> {
        Self::set_up_with(rig, fs, kind, false, Place::of(kind)).await
    }

    async fn set_up_with(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
        with_filler: bool,
        place: Place,
    ) -> Result<Self> {
        let (disk_at, number) = rig.fresh();
        let files = Files::new(fs, kind, number, u64::from(with_filler));
        let page = Page {
            map: "map".to_owned(),
            at: place.in_mapping(),
            len: place.len,
            offset: place.offset,
            disk_at,
            seed: FILE_SEED,
        };
        let open = |name: &str, path: &str, direct| Open {
            name: name.to_owned(),
            path: path.to_owned(),
            direct,
        };
        let filler = match with_filler {
            true => Some(pin_filler(rig, &files.filler, disk_at + FILLER_AT).await?),
            false => None,
        };
        let mut pinner = rig.actor("pinner").await?;
        let mut remover = rig.actor("remover").await?;
        for (path, len, seed) in files.files(kind) {
            let create = Create {
                path: path.clone(),
                len,
                seed,
            };
            remover.ask(create).await?;
            // Kept open, because a second open of a FUSE file changes what is in its cache.
            remover.ask(open(&path, &path, false)).await?;
        }
        if fs == FileSystem::Fuse {
            // The ranges that earlier cases left in the window have to go first.
            rig.watcher().ask(Removal::DropCaches).await?;
        }
        pinner.ask(open("file", &files.file, false)).await?;
        pinner.ask(open("disk", "/dev/vda", true)).await?;
        map_and_store(&mut pinner, &page).await?;
        let (map, at) = (page.map.clone(), page.at);
        let frame = pinner.ask(FrameOf { map, at }).await?;
        let standing = prove(rig, &files).await?;
        // A kernel without kprobes does not show references. That is no failure.
        match rig.watcher().ask(TraceBusy {}).await {
            Ok(()) | Err(WorkerError::Fault { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            files,
            page,
            pinner,
            remover,
            standing,
            kind,
            filler,
            frame,
            filler_lost: false,
            victim_len: None,
            removed_first: false,
            rewritten: false,
        })
    }

    /// The paths that the next case's file and its other file will have.
    pub(super) fn next_paths(rig: &Rig, fs: FileSystem, kind: RemovalKind) -> [String; 2] {
        let files = Files::new(fs, kind, rig.next_number(), 0);
        [files.file, files.other]
    }

    /// Maps another page of the file, for the pinner, as the one with this number.
    ///
    /// # Errors
    ///
    /// If it can't be mapped.
    pub(super) async fn further_page(&mut self, number: u64, offset: u64) -> Result<Page> {
        let place = Place::page(offset);
        let page = Page {
            map: format!("map-{number}"),
            at: place.in_mapping(),
            len: place.len,
            offset,
            disk_at: self.page.disk_at + number * MAPPED as u64,
            seed: FILE_SEED,
        };
        map_and_store(&mut self.pinner, &page).await?;
        Ok(page)
    }

    /// Takes all ranges of the window except the pinned page's, so that no range is free for the
    /// next access. The page has to be pinned before: as soon as no range is free, Linux's worker
    /// takes the oldest one.
    ///
    /// # Errors
    ///
    /// If a file can't be made or accessed.
    pub async fn fill_window(&mut self, rig: &mut Rig) -> Result<()> {
        let fillers = u64::from(self.filler.is_some());
        for index in 1..RANGES - fillers {
            let op = match self.kind {
                RemovalKind::ReclaimInline => Removal::Read {
                    path: self.files.file.clone(),
                    offset: index * RANGE,
                    len: PAGE as usize,
                },
                RemovalKind::ReclaimWorker => Removal::Touch {
                    path: self.files.other.clone(),
                    offset: (index - 1) * RANGE,
                },
                _ => return Ok(()),
            };
            self.remover.ask(op).await.context("filling the window")?;
        }
        if self.filler.is_some() && !worker_waits(rig.watcher()).await? {
            // The worker has taken the filler's range and the page's, both under a transfer. QEMU
            // would abort at the end of a transfer (`docs/findings.md`, G), and the case could not
            // tell which one.
            self.filler_lost = true;
            rig.spoil();
        }
        Ok(())
    }

    /// The host's path of the file.
    pub fn on_host(&self, rig: &Rig) -> Result<PathBuf> {
        let name = self.files.file.rsplit('/').next();
        Ok(rig.on_host(name.context("a file has a name")?))
    }

    /// Lets the reclaim worker go on. All other requests that the disk delays are answered, too.
    pub fn release_filler(&mut self, rig: &Rig) {
        rig.disk().release_all();
        self.filler = None;
    }

    /// Goes on with another removal of the same page.
    pub fn turn_to(&mut self, kind: RemovalKind) {
        self.kind = kind;
    }

    /// The op that removes the page.
    pub fn removal(&self) -> Removal {
        self.kind.op(&self.files, &self.page)
    }
}

/// Maps a page with its surroundings, and stores to it what it holds.
async fn map_and_store(pinner: &mut Worker, page: &Page) -> Result<()> {
    let map = Map {
        name: page.map.clone(),
        file: "file".to_owned(),
        offset: page.offset - page.at as u64,
        len: MAPPED.max(page.at + page.len),
        private: false,
    };
    pinner.ask(map).await?;
    let touch = Touch {
        map: page.map.clone(),
        at: page.at,
        len: page.len,
        store: true,
    };
    pinner.ask(touch).await?;
    Ok(())
}

/// Proves where the file is. An observation of a file at another place would prove nothing.
async fn prove(rig: &mut Rig, files: &Files) -> Result<Vec<String>> {
    let path = files.file.clone();
    let standing = rig.watcher().ask(Where { path }).await?;
    ensure!(
        standing.dax && standing.mount.contains(files.fs.mount_point()),
        "{} is not a DAX file of {}: {standing:?}",
        files.file,
        files.fs
    );
    Ok(vec![
        format!("mount: {}", standing.mount),
        format!("statx: {} has STATX_ATTR_DAX", files.file),
    ])
}
