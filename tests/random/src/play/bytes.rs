// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What files hold, on the host and in the guest.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use dax_cases::host::FileSystem;
use guest_agent::files::{Compare, difference};

use super::check::PAGE;
use super::player::Player;
use crate::deviation::{Deviation, Kind};
use crate::program::Act;

/// The first byte of `file` from an offset on that is not of the pattern, or not zero.
pub(super) fn wrong_on_host(
    file: &File,
    offset: u64,
    len: u64,
    pattern: Option<(u64, u64)>,
) -> Result<Option<String>> {
    let mut bytes = vec![0; len as usize];
    if let Err(error) = file.read_exact_at(&mut bytes, offset) {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Ok(Some("it ends too soon".to_owned())),
            _ => Err(error).context("reading a file on the host"),
        };
    }
    let (seed, at) = pattern.unzip();
    Ok(difference(seed, at.unwrap_or(offset), &bytes))
}

impl Player<'_> {
    /// Compares the pages that the program names, on the host.
    pub(super) fn compare_named_pages(&self, verb: &'static str) -> Result<Option<Deviation>> {
        if self.program.fs != FileSystem::Fuse {
            return Ok(None);
        }
        for step in &self.program.steps {
            let (Act::Load { file, page }
            | Act::Store { file, page }
            | Act::Pin { file, page, .. }) = step.act
            else {
                continue;
            };
            let Some(pattern) = self.pattern(self.model.content(file, page)) else {
                continue;
            };
            let shared = &self.on_host[file.index()];
            if let Some(wrong) = wrong_on_host(shared, page * PAGE, PAGE, pattern)? {
                let said = format!("page {page} of {} on the host: {wrong}", file.letter());
                return Ok(Some(self.wrong_bytes(verb, said)));
            }
        }
        Ok(None)
    }

    fn wrong_bytes(&self, verb: &'static str, said: String) -> Deviation {
        self.deviation(Kind::Bytes, verb, said, self.circumstances([]))
    }

    /// Compares all that is known of all files, on the host and in the guest.
    pub(super) async fn compare_all(&mut self) -> Result<Option<Deviation>> {
        let verb = "end";
        for file in self.all_files() {
            let letter = file.letter();
            let len = self.model.file(file).pages.len() as u64 * PAGE;
            if let Some(shared) = self.on_host.get(file.index()) {
                let is = shared.metadata()?.len();
                if is != len {
                    let said = format!("{letter} has {is} bytes on the host, not {len}");
                    return Ok(Some(self.wrong_size(verb, said)));
                }
            }
            for run in self.model.runs(file) {
                let Some(pattern) = self.pattern(run.content) else {
                    continue;
                };
                let (offset, len) = (run.page * PAGE, run.count * PAGE);
                let shared = self.on_host.get(file.index());
                let wrong = shared.map(|shared| wrong_on_host(shared, offset, len, pattern));
                if let Some(wrong) = wrong.transpose()?.flatten() {
                    return Ok(Some(
                        self.wrong_bytes(verb, format!("{letter} on the host: {wrong}")),
                    ));
                }
            }
        }
        self.compare_in_guest(verb).await
    }

    async fn compare_in_guest(&mut self, verb: &'static str) -> Result<Option<Deviation>> {
        let mut reader = self.rig.actor("reader").await?;
        let named = self.all_files().filter(|file| self.model.file(*file).named);
        for file in named.collect::<Vec<_>>() {
            let (path, letter) = (self.path(file), file.letter());
            let len = self.model.file(file).pages.len() as u64 * PAGE;
            let is = self.rig.vm().agent().stat(&path).await?.size;
            if is != len {
                let said = format!("{letter} has {is} bytes in the guest, not {len}");
                return Ok(Some(self.wrong_size(verb, said)));
            }
            for run in self.model.runs(file) {
                let Some(pattern) = self.pattern(run.content) else {
                    continue;
                };
                let (seed, at) = pattern.unzip();
                let offset = run.page * PAGE;
                let compare = Compare {
                    path: path.clone(),
                    offset,
                    len: run.count * PAGE,
                    seed,
                    pattern_at: at.unwrap_or(offset),
                };
                if let Some(wrong) = reader.ask(compare).await? {
                    return Ok(Some(
                        self.wrong_bytes(verb, format!("{letter} in the guest: {wrong}")),
                    ));
                }
            }
        }
        reader.end().await?;
        Ok(None)
    }

    pub(super) fn wrong_size(&self, verb: &'static str, said: String) -> Deviation {
        self.deviation(Kind::Size, verb, said, self.circumstances([]))
    }
}

#[cfg(test)]
mod tests {
    use guest_agent::pattern::{self, Seed};

    use super::*;

    #[test]
    fn a_foreign_byte_a_short_file_and_missing_zeros_are_found() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; PAGE as usize];
        pattern::fill(Seed(7), PAGE, &mut bytes);
        file.write_all_at(&bytes, PAGE).unwrap();
        let wrong = |offset, len, pattern| wrong_on_host(&file, offset, len, pattern).unwrap();
        assert_eq!(wrong(PAGE, PAGE, Some((7, PAGE))), None);
        assert_eq!(wrong(0, PAGE, None), None);
        assert!(wrong(PAGE, PAGE, Some((8, PAGE))).is_some());
        assert!(wrong(PAGE, PAGE, Some((7, 0))).is_some());
        assert!(wrong(PAGE, PAGE, None).unwrap().contains("expected 0x00"));
        assert!(
            wrong(PAGE, 2 * PAGE, Some((7, PAGE)))
                .unwrap()
                .contains("too soon")
        );
        file.write_all_at(b"x", PAGE + 9).unwrap();
        assert!(
            wrong(PAGE, PAGE, Some((7, PAGE)))
                .unwrap()
                .contains("found 0x78")
        );
    }
}
