// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A removal's freed memory gets a new owner while the page is still pinned. The holder of the pin
//! then has the new owner's memory. The page frame number proves that both are the same page.

use anyhow::Result;
use guest_agent::files::{Fill, FindFrame, Overwrite};
use guest_agent::removals::Removal;

use super::files::{PAGE, RANGE, VICTIM_SEED};
use super::fixture::Fixture;
use super::removal::RemovalKind;
use crate::host::FileSystem;

/// What happened to the page's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewOwner {
    /// This file owns the page now.
    Proven {
        /// The path of the file.
        path: String,
        /// The offset in the file, in bytes.
        offset: u64,
    },
    /// None of the possible new owners has the page.
    Nobody,
    /// The removal leaves the file its memory.
    NotFreed,
    /// The memory is gone on the host. An access reads zeros, or ends a QEMU without the guard.
    Gone,
    /// The kernel does not show page frames.
    Unknown,
}

impl std::fmt::Display for NewOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proven { path, offset } => write!(f, "it is now at {offset:#x} of {path}"),
            Self::Nobody => f.write_str("no file of the case has it now"),
            Self::NotFreed => f.write_str("its file keeps it"),
            Self::Gone => f.write_str("the host's file has no such page any more"),
            Self::Unknown => f.write_str("the kernel does not tell who has it"),
        }
    }
}

impl Fixture {
    /// Gives the freed space to another file, or to the same file anew, and writes to it. A pin
    /// that reads the page needs no new owner if the page's old memory is gone.
    ///
    /// # Errors
    ///
    /// If the space can't be taken.
    pub async fn take_freed_space(&mut self, pin_writes: bool) -> Result<NewOwner> {
        let page = self.page.offset;
        let range = page - page % RANGE;
        match (self.files.fs, self.kind) {
            // An inode that has lost its name keeps its blocks as long as it is in use.
            (FileSystem::Fuse, RemovalKind::Unlink | RemovalKind::RenameOver) => {
                Ok(NewOwner::NotFreed)
            }
            (_, kind) if !kind.frees_memory() => Ok(NewOwner::NotFreed),
            // Linux's worker frees ten ranges at a time, so the file that got this range may have
            // lost it again.
            (_, RemovalKind::ReclaimInline) => {
                let offset = self.files.last_range + page % RANGE;
                self.find(vec![(self.files.file.clone(), offset, PAGE)])
                    .await
            }
            (_, RemovalKind::ReclaimWorker) => {
                let offset = self.files.last_range + page % RANGE;
                self.find(vec![(self.files.other.clone(), offset, PAGE)])
                    .await
            }
            (FileSystem::Fuse, kind) if kind.shortens() => {
                if !pin_writes {
                    return Ok(NewOwner::Gone);
                }
                // The range of the window stays with the file, even if the file has ended before
                // it.
                let path = self.files.file.clone();
                let len = self.files.len;
                self.remover.ask(Removal::Truncate { path, len }).await?;
                self.find(vec![(self.files.file.clone(), page, PAGE)]).await
            }
            (FileSystem::Fuse, _) => self.find(vec![(self.files.file.clone(), page, PAGE)]).await,
            (_, RemovalKind::Exchange) => {
                // The range has changed its file, and nothing is free.
                let (path, offset) = (self.files.other.clone(), page - page % RANGE);
                let (len, seed) = (RANGE / 2, VICTIM_SEED);
                let write = Overwrite {
                    path: path.clone(),
                    offset,
                    len,
                    seed,
                };
                self.remover.ask(write).await?;
                self.rewritten = true;
                self.find(vec![(path, offset, len)]).await
            }
            (FileSystem::Ext4 | FileSystem::Xfs, kind) => {
                if kind == RemovalKind::Zero {
                    // The zeros may be in the old block or in another one, so both are written to.
                    let zeros = Overwrite {
                        path: self.files.file.clone(),
                        offset: range,
                        len: RANGE / 2,
                        seed: VICTIM_SEED,
                    };
                    self.remover.ask(zeros).await?;
                    self.rewritten = true;
                }
                let fill = Fill {
                    path: self.files.victim.clone(),
                    limit: crate::host::FREE,
                    seed: VICTIM_SEED,
                };
                let len = self.remover.ask(fill).await?;
                self.victim_len = Some(len);
                let mut parts = vec![(self.files.victim.clone(), 0, len)];
                if !matches!(kind, RemovalKind::Unlink | RemovalKind::RenameOver) {
                    parts.push((self.files.file.clone(), range, RANGE / 2));
                }
                self.find(parts).await
            }
        }
    }

    /// Looks for the page's frame in parts of files: path, offset and length.
    async fn find(&mut self, parts: Vec<(String, u64, u64)>) -> Result<NewOwner> {
        let Some(frame) = self.frame else {
            return Ok(NewOwner::Unknown);
        };
        for (path, offset, len) in parts {
            let find = FindFrame {
                path: path.clone(),
                offset,
                len,
                frame,
            };
            if let Some(offset) = self.remover.ask(find).await? {
                return Ok(NewOwner::Proven { path, offset });
            }
        }
        Ok(NewOwner::Nobody)
    }
}

impl RemovalKind {
    /// Whether the removal leaves the page's memory with another owner or with none.
    fn frees_memory(self) -> bool {
        !matches!(
            self,
            Self::Fallocate
                | Self::Insert
                | Self::CloneFrom
                | Self::DropCaches
                | Self::DaxFlag
                | Self::Umount
        )
    }
}
