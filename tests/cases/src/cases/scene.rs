// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of one case, who pins and who removes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;

use super::decoy::{decoy, worker_waits};
use super::removal::RemovalKind;
use crate::files::{Compare, Create, Fill, Map, Open, Stacks, Touch, Where};
use crate::host::{Actor, FileSystem, Rig};
use crate::removals::Removal;

/// What FUSE DAX maps at a time.
pub const RANGE: u64 = 2 << 20;
const PAGE: u64 = 4096;
/// The page of a range that is pinned: not the first, which is the only one that some old kernels
/// looked at.
const PINNED_PAGE: u64 = 3 * PAGE;
/// Length of a case's files, as long as the window need not be full.
const LEN: u64 = 2 * RANGE;
/// A length below the pinned page, in its range.
pub const MIDDLE: u64 = RANGE + PAGE;
/// How much of the pinned page's range is mapped.
const MAPPED: usize = 64 << 10;
/// The decoy's place on the disk, from the case's own.
const DECOY_AT: u64 = 512 << 10;
/// Ranges of the rig's window.
const RANGES: u64 = 8;

/// How long it may take to remove a case's files.
const STRIKE_DEADLINE: Duration = Duration::from_secs(60);

const FILE_SEED: u64 = 0xf11e;
const OTHER_SEED: u64 = 0x07e5;
const VICTIM_SEED: u64 = 0x71c7;

/// The page in question.
#[derive(Clone, Debug)]
pub struct Page {
    /// The pinner's mapping.
    pub map: String,
    /// Where in it.
    pub at: usize,
    /// Its length.
    pub len: usize,
    /// Where in the file.
    pub offset: u64,
    /// Its place on the disk.
    pub disk_at: u64,
    /// The file's pattern.
    pub seed: u64,
}

/// Who plays what.
#[derive(Clone, Debug)]
pub struct Roles {
    /// On which file system.
    pub fs: FileSystem,
    /// The file that loses its page.
    pub file: String,
    /// Its length.
    pub len: u64,
    /// Another file of other content.
    pub other: String,
    /// Its length.
    pub other_len: u64,
    /// Another file of the same content.
    pub twin: String,
    /// Who gets the freed blocks.
    pub victim: String,
    /// The file whose pinned page keeps the reclaim worker waiting.
    pub decoy: String,
    /// The last range of the file, or of the other for the worker: the one too many.
    pub last_range: u64,
}

/// A case that has been set up.
pub struct Scene {
    /// Who plays what.
    pub roles: Roles,
    /// The page.
    pub page: Page,
    /// Who pins.
    pub pinner: Actor,
    /// Who removes.
    pub remover: Actor,
    /// Where the file is, for the report.
    pub standing: Vec<String>,
    kind: RemovalKind,
    /// Who keeps the reclaim worker out of it.
    pub decoy: Option<Actor>,
    /// How much the victim has, once it has taken the freed space.
    victim_len: Option<u64>,
}

impl Scene {
    /// Makes the files, maps the page, and proves that it is a DAX page.
    ///
    /// # Errors
    ///
    /// If any of it fails, also if the file is not where it should be.
    pub async fn set(rig: &mut Rig, fs: FileSystem, kind: RemovalKind) -> Result<Self> {
        let with_decoy = kind == RemovalKind::ReclaimInline;
        Self::set_with(rig, fs, kind, with_decoy).await
    }

    /// The same, with nobody to keep the reclaim worker out of it.
    ///
    /// # Errors
    ///
    /// As [`Scene::set`].
    pub async fn set_without_decoy(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
    ) -> Result<Self> {
        Self::set_with(rig, fs, kind, false).await
    }

    async fn set_with(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
        with_decoy: bool,
    ) -> Result<Self> {
        let (disk_at, number) = rig.fresh()?;
        let roles = Roles::new(fs, kind, number, u64::from(with_decoy));
        let offset = match kind {
            RemovalKind::ReclaimInline | RemovalKind::ReclaimWorker => PINNED_PAGE,
            _ => RANGE + PINNED_PAGE,
        };
        let page = Page {
            map: "map".to_owned(),
            at: PINNED_PAGE as usize,
            len: PAGE as usize,
            offset,
            disk_at,
            seed: FILE_SEED,
        };
        let open = |name: &str, path: &str, direct| Open {
            name: name.to_owned(),
            path: path.to_owned(),
            direct,
        };
        let decoy = match with_decoy {
            true => Some(decoy(rig, &roles.decoy, disk_at + DECOY_AT).await?),
            false => None,
        };
        let mut pinner = rig.actor("pinner").await?;
        let mut remover = rig.actor("remover").await?;
        for (path, len, seed) in roles.files(kind) {
            let create = Create {
                path: path.clone(),
                len,
                seed,
            };
            remover.ask(create).await?;
            // Kept open, because to open a file of FUSE again changes what is in its cache.
            remover.ask(open(&path, &path, false)).await?;
        }
        if fs == FileSystem::Fuse {
            // What earlier cases left in the window has to go first.
            rig.watcher().ask(Removal::DropCaches).await?;
        }
        pinner.ask(open("file", &roles.file, false)).await?;
        pinner.ask(open("disk", "/dev/vda", true)).await?;
        let map = Map {
            name: page.map.clone(),
            file: "file".to_owned(),
            offset: offset - PINNED_PAGE,
            len: MAPPED,
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
        let standing = prove(rig, &roles).await?;
        Ok(Self {
            roles,
            page,
            pinner,
            remover,
            standing,
            kind,
            decoy,
            victim_len: None,
        })
    }

    /// Takes all ranges of the window but the pinned page's, so that the next one is one too many.
    /// The page has to be pinned before: as soon as no range is free, Linux's worker takes the
    /// oldest.
    ///
    /// # Errors
    ///
    /// If it can't be done.
    pub async fn fill_window(&mut self, rig: &mut Rig) -> Result<()> {
        let decoys = u64::from(self.decoy.is_some());
        for index in 1..RANGES - decoys {
            let order = match self.kind {
                RemovalKind::ReclaimInline => Removal::Read {
                    path: self.roles.file.clone(),
                    offset: index * RANGE,
                    len: PAGE as usize,
                },
                RemovalKind::ReclaimWorker => Removal::Touch {
                    path: self.roles.other.clone(),
                    offset: (index - 1) * RANGE,
                },
                _ => return Ok(()),
            };
            self.remover
                .ask(order)
                .await
                .context("filling the window")?;
        }
        if self.decoy.is_some() {
            // A worker that does not wait has taken the page's range already, which the case shows.
            let _waits: bool = worker_waits(rig.watcher()).await?;
        }
        Ok(())
    }

    /// Goes on with another removal of the same page.
    pub fn turn_to(&mut self, kind: RemovalKind) {
        self.kind = kind;
    }

    /// The order that removes the page.
    pub fn removal(&self) -> Removal {
        self.kind.order(&self.roles, &self.page)
    }

    /// Gives what has been freed to another file.
    ///
    /// # Errors
    ///
    /// If it can't be had.
    pub async fn take_freed_space(&mut self) -> Result<()> {
        if self.roles.fs == FileSystem::Fuse {
            // The range of a window that was taken has its new owner already.
            return Ok(());
        }
        let fill = Fill {
            path: self.roles.victim.clone(),
            limit: crate::host::FREE,
            seed: VICTIM_SEED,
        };
        self.victim_len = Some(self.remover.ask(fill).await?);
        Ok(())
    }

    /// Compares all files with what they must hold, in the guest and, for a share, on the host.
    /// The first difference in words.
    ///
    /// # Errors
    ///
    /// If they can't be compared.
    pub async fn wrong_bytes(
        &mut self,
        rig: &Rig,
        removed: bool,
        page_written: bool,
    ) -> Result<Option<String>> {
        if removed && self.kind.shortens() {
            // What was cut off must read as zeros when the file gets longer again.
            let path = self.roles.file.clone();
            let len = self.roles.len;
            self.remover.ask(Removal::Truncate { path, len }).await?;
        }
        let mut expected = self.expectations(removed, page_written);
        if let Some(len) = self.victim_len {
            expected.push(Compare::new(&self.roles.victim, 0, len, Some(VICTIM_SEED)));
        }
        for compare in expected.into_iter().filter(|compare| compare.len > 0) {
            let path = compare.path.clone();
            if let Some(wrong) = self.remover.ask(compare.clone()).await? {
                return Ok(Some(format!("{path} in the guest: {wrong}")));
            }
            if let Some(wrong) = self.wrong_on_host(rig, &compare)? {
                return Ok(Some(format!("{path} on the host: {wrong}")));
            }
        }
        Ok(None)
    }

    /// The same comparison by the host; only of whole patterns, for zeros are the guest's word.
    fn wrong_on_host(&self, rig: &Rig, compare: &Compare) -> Result<Option<String>> {
        let (FileSystem::Fuse, Some(seed)) = (self.roles.fs, compare.seed) else {
            return Ok(None);
        };
        if compare.pattern_at != compare.offset {
            return Ok(None);
        }
        let name = compare
            .path
            .rsplit('/')
            .next()
            .context("a file has a name")?;
        let part = Part {
            offset: compare.offset,
            len: compare.len,
        };
        let verified = file::verify(&rig.on_host(name), part, Seed(seed), How::Syscall)?;
        Ok(verified.err().map(|wrong| wrong.to_string()))
    }

    /// What the files must hold.
    fn expectations(&self, removed: bool, page_written: bool) -> Vec<Compare> {
        let (roles, page) = (&self.roles, &self.page);
        let file = |from, to, seed| Compare::new(&roles.file, from, to - from, seed);
        let pattern = Some(FILE_SEED);
        let range = page.offset - page.offset % RANGE;
        let (page_end, range_end) = (page.offset + PAGE, range + RANGE / 2);
        let the_page = if page_written {
            Compare {
                pattern_at: page.disk_at,
                ..file(page.offset, page_end, Some(crate::host::DISK_SEED))
            }
        } else {
            file(page.offset, page_end, pattern)
        };
        let kept = vec![
            file(0, page.offset, pattern),
            the_page,
            file(page_end, roles.len, pattern),
        ];
        if !removed {
            return kept;
        }
        match self.kind {
            RemovalKind::Truncate | RemovalKind::OpenTruncate => vec![file(0, roles.len, None)],
            RemovalKind::TruncateMiddle => {
                vec![file(0, MIDDLE, pattern), file(MIDDLE, roles.len, None)]
            }
            RemovalKind::Punch | RemovalKind::Zero => vec![
                file(0, range, pattern),
                file(range, range_end, None),
                file(range_end, roles.len, pattern),
            ],
            RemovalKind::Collapse => vec![
                file(0, range, pattern),
                Compare {
                    pattern_at: range_end,
                    ..file(range, roles.len - RANGE / 2, pattern)
                },
            ],
            RemovalKind::Insert => vec![file(0, range, pattern), file(range, range_end, None)],
            RemovalKind::Clone => vec![
                file(0, range, pattern),
                file(range, range_end, Some(OTHER_SEED)),
                file(range_end, roles.len, pattern),
            ],
            // Copied into the same blocks or into others: what the disk writes to the page later
            // may be seen or not.
            RemovalKind::CopyOver => vec![
                file(0, range, pattern),
                file(range, page.offset, Some(OTHER_SEED)),
                file(page_end, range_end, Some(OTHER_SEED)),
                file(range_end, roles.len, pattern),
            ],
            RemovalKind::Unlink => vec![],
            RemovalKind::RenameOver => vec![file(0, roles.other_len, Some(OTHER_SEED))],
            RemovalKind::ReclaimWorker => {
                let mut all = kept;
                all.push(Compare::new(
                    &roles.other,
                    0,
                    roles.other_len,
                    Some(OTHER_SEED),
                ));
                all
            }
            RemovalKind::Fallocate
            | RemovalKind::Dedupe
            | RemovalKind::DropCaches
            | RemovalKind::DaxFlag
            | RemovalKind::Umount
            | RemovalKind::ReclaimInline => kept,
        }
    }

    /// Ends the actors and removes the files. Gives the stack of a removal that hangs: somebody
    /// still has the file's locks, and the guest is of no use any more.
    ///
    /// # Errors
    ///
    /// If the guest fails.
    pub async fn strike(self, rig: &mut Rig) -> Result<Option<String>> {
        // A process with a transfer under way can't end.
        rig.disk().release_all();
        drop((self.pinner, self.remover, self.decoy));
        let mut cleaner = rig.actor("cleaner").await?;
        for path in self.roles.paths() {
            let gone = cleaner.begin(Removal::Unlink { path }).await?;
            // Whether it was there depends on the case.
            if cleaner.done_within(&gone, STRIKE_DEADLINE).await?.is_none() {
                let pid = Some(cleaner.pid());
                let functions = Vec::new();
                let found = rig.watcher().ask(Stacks { pid, functions }).await?;
                let stack = found.into_iter().next().map(|task| task.stack);
                return Ok(Some(stack.unwrap_or_else(|| "it runs".to_owned())));
            }
        }
        Ok(None)
    }
}

impl RemovalKind {
    fn shortens(self) -> bool {
        matches!(
            self,
            Self::Truncate | Self::TruncateMiddle | Self::OpenTruncate
        )
    }
}

impl Compare {
    /// A part of a file that has the pattern of the same part, or zeros.
    fn new(path: &str, offset: u64, len: u64, seed: Option<u64>) -> Self {
        Self {
            path: path.to_owned(),
            offset,
            len,
            seed,
            pattern_at: offset,
        }
    }
}

impl Roles {
    fn new(fs: FileSystem, kind: RemovalKind, number: u64, decoys: u64) -> Self {
        let path = |role: &str| format!("{}/{role}-{number}", fs.mount_point());
        let (len, other_len) = match kind {
            // One more than the window has ranges for, with the decoy's.
            RemovalKind::ReclaimInline => ((RANGES + 1 - decoys) * RANGE, 0),
            RemovalKind::ReclaimWorker => (RANGE, RANGES * RANGE),
            _ => (LEN, LEN),
        };
        Self {
            fs,
            file: path("file"),
            len,
            other: path("other"),
            other_len,
            twin: path("twin"),
            victim: path("victim"),
            decoy: path("decoy"),
            last_range: len.max(other_len) - RANGE,
        }
    }

    /// The files that a removal needs: path, length and pattern.
    fn files(&self, kind: RemovalKind) -> Vec<(String, u64, u64)> {
        let mut files = vec![(self.file.clone(), self.len, FILE_SEED)];
        match kind {
            RemovalKind::Clone
            | RemovalKind::CopyOver
            | RemovalKind::RenameOver
            | RemovalKind::ReclaimWorker => {
                files.push((self.other.clone(), self.other_len, OTHER_SEED));
            }
            RemovalKind::Dedupe => files.push((self.twin.clone(), self.len, FILE_SEED)),
            _ => {}
        }
        files
    }

    fn paths(&self) -> [String; 5] {
        [
            &self.file,
            &self.other,
            &self.twin,
            &self.victim,
            &self.decoy,
        ]
        .map(String::clone)
    }
}

/// The file's place; nothing that is seen elsewhere would mean anything.
async fn prove(rig: &mut Rig, roles: &Roles) -> Result<Vec<String>> {
    let path = roles.file.clone();
    let standing = rig.watcher().ask(Where { path }).await?;
    ensure!(
        standing.dax && standing.mount.contains(roles.fs.mount_point()),
        "{} is not a DAX file of {}: {standing:?}",
        roles.file,
        roles.fs
    );
    Ok(vec![
        format!("mount: {}", standing.mount),
        format!("statx: {} has STATX_ATTR_DAX", roles.file),
    ])
}
