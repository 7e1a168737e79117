// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of one case and the page in question: their names, sizes and patterns.

use super::removal::RemovalKind;
use crate::host::FileSystem;

/// What FUSE DAX maps at a time.
pub const RANGE: u64 = 2 << 20;
pub(super) const PAGE: u64 = 4096;
/// The page of a range that is pinned. It is not the first page, because some old kernels looked
/// only at the first one.
pub(super) const PINNED_PAGE: u64 = 3 * PAGE;
/// Length of a case's files if the window need not be full.
pub(super) const LEN: u64 = 2 * RANGE;
/// A length below the pinned page, in its range.
pub const MIDDLE: u64 = RANGE + PAGE;
/// How much of the pinned page's range is mapped, at least: the part that has the page.
pub(super) const MAPPED: usize = 64 << 10;
/// The filler's offset on the disk, relative to the case's own.
pub(super) const FILLER_AT: u64 = 512 << 10;
/// Ranges of the rig's window.
pub(super) const RANGES: u64 = 8;

/// Patterns of the files.
pub(super) const FILE_SEED: u64 = 0xf11e;
pub(super) const OTHER_SEED: u64 = 0x07e5;
pub(super) const VICTIM_SEED: u64 = 0x71c7;

/// The page in question.
#[derive(Clone, Debug)]
pub struct Page {
    /// The pinner's mapping.
    pub map: String,
    /// The offset in the mapping.
    pub at: usize,
    /// Its length.
    pub len: usize,
    /// The offset in the file.
    pub offset: u64,
    /// The offset on the disk.
    pub disk_at: u64,
    /// The seed of the file's pattern.
    pub seed: u64,
}

impl Page {
    /// The actor's name for what holds the page.
    pub(super) fn pin(&self) -> String {
        format!("pin-of-{}", self.map)
    }
}

/// Where in its file a page is that a case pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The length in bytes, of one page or more.
    pub len: usize,
}

impl Place {
    /// The page of a removal's own cells.
    pub(super) fn of(kind: RemovalKind) -> Self {
        let range = match kind {
            RemovalKind::ReclaimInline | RemovalKind::ReclaimWorker => 0,
            _ => RANGE,
        };
        Self::page(range + PINNED_PAGE)
    }

    /// One page.
    pub(super) const fn page(offset: u64) -> Self {
        let len = PAGE as usize;
        Self { offset, len }
    }

    /// Where it begins in the mapping of its surroundings.
    pub(super) fn in_mapping(self) -> usize {
        (self.offset % MAPPED as u64) as usize
    }
}

/// The files of a case by their role.
#[derive(Clone, Debug)]
pub struct Files {
    /// The file system.
    pub fs: FileSystem,
    /// The file that loses its page.
    pub file: String,
    /// Length of `file`.
    pub len: u64,
    /// Another file with other content.
    pub other: String,
    /// Length of `other`.
    pub other_len: u64,
    /// Another file with the same content.
    pub twin: String,
    /// The file that gets the freed blocks.
    pub victim: String,
    /// The file whose pinned page keeps the reclaim worker waiting.
    pub filler: String,
    /// The last range of the file, or of the other file for the worker: the range that no longer
    /// fits.
    pub last_range: u64,
}

impl Files {
    pub(super) fn new(fs: FileSystem, kind: RemovalKind, number: u64, fillers: u64) -> Self {
        let path = |role: &str| format!("{}/{role}-{number}", fs.mount_point());
        let (len, other_len) = match kind {
            // With the filler's ranges, one more than the window has.
            RemovalKind::ReclaimInline => ((RANGES + 1 - fillers) * RANGE, 0),
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
            filler: path("filler"),
            last_range: len.max(other_len) - RANGE,
        }
    }

    /// The files that a removal needs: path, length and pattern.
    pub(super) fn files(&self, kind: RemovalKind) -> Vec<(String, u64, u64)> {
        let mut files = vec![(self.file.clone(), self.len, FILE_SEED)];
        match kind {
            RemovalKind::Clone
            | RemovalKind::CloneFrom
            | RemovalKind::Exchange
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

    pub(super) fn paths(&self) -> [String; 5] {
        [
            &self.file,
            &self.other,
            &self.twin,
            &self.victim,
            &self.filler,
        ]
        .map(String::clone)
    }
}
