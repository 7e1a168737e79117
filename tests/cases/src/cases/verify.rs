// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What all files must hold after a case, and whether they do.

use anyhow::{Context as _, Result};
use guest_agent::access::{self, How, Part};
use guest_agent::files::Compare;
use guest_agent::pattern::Seed;
use guest_agent::removals::Removal;

use super::files::{FILE_SEED, MIDDLE, OTHER_SEED, RANGE, VICTIM_SEED};
use super::fixture::Fixture;
use super::removal::RemovalKind;
use crate::host::{FileSystem, Rig};

impl Fixture {
    /// Compares all files with their expected content, in the guest and, for a share, on the host.
    /// Returns a description of the first difference.
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
            // The bytes that were cut off must read as zeros when the file grows again.
            let path = self.files.file.clone();
            let len = self.files.len;
            self.remover.ask(Removal::Truncate { path, len }).await?;
        }
        let mut expected = self.expectations(removed, page_written);
        if let Some(len) = self.victim_len {
            expected.push(Compare::new(&self.files.victim, 0, len, Some(VICTIM_SEED)));
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

    /// Makes the same comparison on the host. Compares whole patterns only: only the guest can say
    /// whether zeros are right.
    fn wrong_on_host(&self, rig: &Rig, compare: &Compare) -> Result<Option<String>> {
        let (FileSystem::Fuse, Some(seed)) = (self.files.fs, compare.seed) else {
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
        let verified = access::verify(&rig.on_host(name), part, Seed(seed), How::Syscall)?;
        Ok(verified.err().map(|wrong| wrong.to_string()))
    }

    /// The expected content of the files.
    fn expectations(&self, removed: bool, page_written: bool) -> Vec<Compare> {
        let (files, page) = (&self.files, &self.page);
        let file = |from, to, seed| Compare::new(&files.file, from, to - from, seed);
        let pattern = Some(FILE_SEED);
        let range = page.offset - page.offset % RANGE;
        let (page_end, range_end) = (page.offset + page.len as u64, range + RANGE / 2);
        let the_page = if page_written {
            Compare {
                pattern_at: page.disk_at,
                ..file(page.offset, page_end, Some(crate::host::DISK_SEED))
            }
        } else {
            file(page.offset, page_end, pattern)
        };
        let other = |from, to, seed| Compare::new(&files.other, from, to - from, seed);
        let kept = [
            file(0, page.offset, pattern),
            the_page,
            file(page_end, files.len, pattern),
        ];
        if !removed {
            return kept.into();
        }
        match self.kind {
            RemovalKind::Truncate | RemovalKind::OpenTruncate => vec![file(0, files.len, None)],
            RemovalKind::TruncateMiddle => {
                let mut all: Vec<Compare> =
                    kept.into_iter().map(|part| up_to(MIDDLE, part)).collect();
                all.push(file(MIDDLE, files.len, None));
                all
            }
            RemovalKind::Punch | RemovalKind::Zero => vec![
                file(0, range, pattern),
                file(range, range_end, self.rewritten.then_some(VICTIM_SEED)),
                file(range_end, files.len, pattern),
            ],
            RemovalKind::Collapse => vec![
                file(0, range, pattern),
                Compare {
                    pattern_at: range_end,
                    ..file(range, files.len - RANGE / 2, pattern)
                },
            ],
            // All bytes from the range on have moved. What the disk writes to the page has moved
            // with them.
            RemovalKind::Insert => {
                let moved = |part: Compare| Compare {
                    offset: part.offset + RANGE / 2,
                    ..part
                };
                let [_, the_page, after] = kept;
                vec![
                    file(0, range, pattern),
                    file(range, range_end, None),
                    moved(file(range, page.offset, pattern)),
                    moved(the_page),
                    moved(after),
                ]
            }
            RemovalKind::Clone => vec![
                file(0, range, pattern),
                file(range, range_end, Some(OTHER_SEED)),
                file(range_end, files.len, pattern),
            ],
            // The other file has the page's bytes as they were then.
            RemovalKind::CloneFrom => {
                let mut all = Vec::from(kept);
                all.extend(self.of_other(self.page_then(page_written)));
                all
            }
            RemovalKind::Exchange => {
                let mut all = vec![
                    file(0, range, pattern),
                    file(range, range_end, Some(OTHER_SEED)),
                    file(range_end, files.len, pattern),
                ];
                let the_page = self.page_then(page_written);
                all.extend(match self.rewritten {
                    true => vec![other(range, range_end, Some(VICTIM_SEED))],
                    false => self.of_other(the_page),
                });
                all
            }
            // The bytes were copied into the same blocks or into others, so a later write of the
            // disk to the page may be visible or not.
            RemovalKind::CopyOver => vec![
                file(0, range, pattern),
                file(range, page.offset, Some(OTHER_SEED)),
                file(page_end, range_end, Some(OTHER_SEED)),
                file(range_end, files.len, pattern),
            ],
            RemovalKind::Unlink => vec![],
            RemovalKind::RenameOver => vec![file(0, files.other_len, Some(OTHER_SEED))],
            RemovalKind::ReclaimWorker => {
                let mut all = Vec::from(kept);
                all.push(Compare::new(
                    &files.other,
                    0,
                    files.other_len,
                    Some(OTHER_SEED),
                ));
                all
            }
            RemovalKind::Fallocate
            | RemovalKind::Dedupe
            | RemovalKind::DropCaches
            | RemovalKind::DaxFlag
            | RemovalKind::Umount
            | RemovalKind::ReclaimInline => kept.into(),
        }
    }
}

/// What of a part is before `end`.
fn up_to(end: u64, part: Compare) -> Compare {
    let len = part.len.min(end.saturating_sub(part.offset));
    Compare { len, ..part }
}

impl Fixture {
    /// What the page held when the removal returned.
    fn page_then(&self, page_written: bool) -> Compare {
        let page = &self.page;
        let then = Compare::new(
            &self.files.other,
            page.offset,
            page.len as u64,
            Some(FILE_SEED),
        );
        match page_written && !self.removed_first {
            true => Compare {
                seed: Some(crate::host::DISK_SEED),
                pattern_at: page.disk_at,
                ..then
            },
            false => then,
        }
    }

    /// The other file where it has got the range of the file, with `the_page`.
    fn of_other(&self, the_page: Compare) -> Vec<Compare> {
        let page = &self.page;
        let range = page.offset - page.offset % RANGE;
        let (page_end, range_end) = (page.offset + page.len as u64, range + RANGE / 2);
        let other = |from, to, seed| Compare::new(&self.files.other, from, to - from, Some(seed));
        vec![
            other(0, range, OTHER_SEED),
            other(range, page.offset, FILE_SEED),
            the_page,
            other(page_end, range_end, FILE_SEED),
            other(range_end, self.files.other_len, OTHER_SEED),
        ]
    }
}

impl RemovalKind {
    pub(super) fn shortens(self) -> bool {
        matches!(
            self,
            Self::Truncate | Self::TruncateMiddle | Self::OpenTruncate
        )
    }
}
