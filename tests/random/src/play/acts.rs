// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Steps as requests to actors.

use std::fs;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};
use guest_agent::access::Fork;
use guest_agent::files::{Close, Load, Map, Overwrite, Sync, Touch};
use guest_agent::pattern::{self, Seed};
use guest_agent::removals::{RangeMode, Removal};
use guest_agent::worker::Request;
use rustix::fs::{FallocateFlags, fallocate};

use super::check::PAGE;
use super::player::Player;
use crate::model::{Content, Owed};
use crate::program::{Act, Actor, FileId, MapSize, RANGE_PAGES};

/// Pages of a small mapping.
const PART: u64 = 16;
/// An actor's name for its child.
const CHILD: &str = "child";

impl Player<'_> {
    /// The requests of a step. `content` is what the page of a load holds, `seed` that of a write.
    pub(super) fn requests(
        &mut self,
        actor: Actor,
        act: Act,
        owed: &Owed,
        content: Content,
        seed: u64,
    ) -> Result<Vec<Request>> {
        let path = act.file().map(|file| self.path(file)).unwrap_or_default();
        let removal = |removal: Removal| Ok(vec![Request::of(&removal)]);
        match act {
            Act::Load { file, page } | Act::Store { file, page } => {
                let (mut requests, map, at) = self.mapping(actor, file, page)?;
                let len = PAGE as usize;
                let store = matches!(act, Act::Store { .. });
                requests.push(match (store, self.pattern(content)) {
                    // A load that may wait is too late for what the page holds now.
                    (false, Some(pattern)) if owed.may.is_empty() => Request::of(&Load {
                        map,
                        at,
                        len,
                        pattern,
                    }),
                    _ => Request::of(&Touch {
                        map,
                        at,
                        len,
                        store,
                    }),
                });
                Ok(requests)
            }
            Act::Truncate { pages, .. } => removal(Removal::Truncate {
                path,
                len: pages * PAGE,
            }),
            Act::OpenTruncate { .. } => removal(Removal::OpenTruncate {
                path,
                create: false,
            }),
            Act::Range {
                mode, page, count, ..
            } => removal(Removal::Fallocate {
                path,
                mode,
                offset: page * PAGE,
                len: count * PAGE,
            }),
            Act::Copy {
                from, page, count, ..
            } => removal(Removal::CopyOver {
                path,
                from: self.path(from),
                offset: page * PAGE,
                len: (count * PAGE) as usize,
            }),
            Act::Write { page, count, .. } => Ok(vec![Request::of(&Overwrite {
                path,
                offset: page * PAGE,
                len: count * PAGE,
                seed,
            })]),
            Act::Sweep { range, count, .. } => {
                let read = |range| Removal::Read {
                    path: path.clone(),
                    offset: range * RANGE_PAGES * PAGE,
                    len: PAGE as usize,
                };
                let reads = (range..range + count).map(read);
                Ok(reads.map(|read| Request::of(&read)).collect())
            }
            Act::Sync { .. } => Ok(vec![Request::of(&Sync { file: path })]),
            Act::Reopen { file } => Ok(vec![Request::of(&self.opening(file))]),
            Act::Close { .. } => Ok(vec![Request::of(&Close { name: path })]),
            Act::Unmap { file } => {
                let maps = &mut self.cast(actor)?.maps;
                let (gone, kept) = std::mem::take(maps)
                    .into_iter()
                    .partition(|(_, of)| *of == file);
                *maps = kept;
                let names = std::collections::BTreeMap::into_keys(gone);
                Ok(names.map(|name| Request::of(&Close { name })).collect())
            }
            Act::Unlink { .. } => removal(Removal::Unlink { path }),
            Act::RenameOver { from, .. } => removal(Removal::RenameOver {
                path,
                from: self.path(from),
            }),
            Act::DropCaches => removal(Removal::DropCaches),
            Act::Fork => Ok(vec![Request::of(&Fork {
                name: CHILD.to_owned(),
            })]),
            Act::Reap => Ok(vec![Request::of(&Close {
                name: CHILD.to_owned(),
            })]),
            Act::Pin { .. } | Act::Release | Act::Stat { .. } | Act::Exit | Act::Nudge => {
                bail!("{} is no request", act.verb())
            }
        }
    }

    /// The mapping of a page: what makes it, if it is not there yet, its name, and the page's
    /// offset in it.
    pub(super) fn mapping(
        &mut self,
        actor: Actor,
        file: FileId,
        page: u64,
    ) -> Result<(Vec<Request>, String, usize)> {
        let full = self.model.file(file).full;
        let (from, pages) = match self.program.maps {
            MapSize::Whole => (0, full),
            MapSize::Part => (page - page % PART, PART),
        };
        let name = format!("map-{}-{from}", file.letter());
        let map = Map {
            name: name.clone(),
            file: self.path(file),
            offset: from * PAGE,
            len: (pages * PAGE) as usize,
            private: false,
        };
        let maps = &mut self.cast(actor)?.maps;
        let requests = match maps.insert(name.clone(), file) {
            Some(_) => Vec::new(),
            None => vec![Request::of(&map)],
        };
        Ok((requests, name, ((page - from) * PAGE) as usize))
    }

    /// Seed and offset of the pattern that a page holds; the inner `None` is zeros, the outer one
    /// means that it is not known.
    pub(super) fn pattern(&self, content: Content) -> Option<Option<(u64, u64)>> {
        match content {
            Content::Pattern { seed, page } => Some(Some((seed, page * PAGE))),
            Content::Sent(serial) => {
                let at = self.sent_at.get(serial as usize)?;
                Some(Some((dax_cases::host::DISK_SEED, *at)))
            }
            Content::Zeros => Some(None),
            Content::Unknown => None,
        }
    }

    /// Does what the host does.
    pub(super) fn act_on_host(&self, act: Act, seed: u64) -> Result<()> {
        let file = act.file().context("it is about a file")?;
        let shared = &self.on_host[file.index()];
        match act {
            Act::Write { page, count, .. } => {
                let mut bytes = vec![0; (count * PAGE) as usize];
                pattern::fill(Seed(seed), page * PAGE, &mut bytes);
                shared.write_all_at(&bytes, page * PAGE)?;
            }
            Act::Range {
                mode: RangeMode::Punch,
                page,
                count,
                ..
            } => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(shared, flags, page * PAGE, count * PAGE)?;
            }
            Act::Unlink { file } => fs::remove_file(self.rig.on_host(&self.name(file)))?,
            act => bail!("the host does not do {}", act.verb()),
        }
        Ok(())
    }
}
