// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window: the guest's requests, loads and stores.

use anyhow::{Context, Result, ensure};
use virtiofs_driver::{FileOffset, FuseError, WindowOffset};

use super::Rig;
use crate::checks::{bytes, tables};
use crate::model::{FileId, RANGE, Shown, Slot};

impl Rig {
    /// SETUPMAPPING, which has to succeed.
    pub fn map(&mut self, queue: usize, file: FileId, from: u64, slot: Slot) -> Result<()> {
        self.ask_map(queue, file, from, slot)?;
        let from = FileOffset(from);
        self.shown.0.insert(slot, Shown { file, from });
        self.load_some(slot)
    }

    /// SETUPMAPPING, without a change of the model.
    pub fn ask_map(
        &mut self,
        queue: usize,
        file: FileId,
        from: u64,
        slot: Slot,
    ) -> Result<(), FuseError> {
        self.watch.step(format!("map {file:?} at {slot:?}"));
        let node = self.files.get(file).node;
        let at = slot.offset();
        self.clients[queue].setup_mapping(node, FileOffset(from), RANGE, at, true)
    }

    /// REMOVEMAPPING, which has to succeed.
    pub fn unmap(&mut self, queue: usize, slot: Slot) -> Result<()> {
        self.ask_unmap(queue, slot)
            .with_context(|| format!("unmap {slot:?}"))?;
        self.shown
            .0
            .remove(&slot)
            .context("a slot that was shown")?;
        tables::settled(&self.window)?;
        let there = self.window.mapping_at(slot.offset());
        ensure!(there.is_none(), "{slot:?} is there after REMOVEMAPPING");
        Ok(())
    }

    /// REMOVEMAPPING, without a change of the model.
    pub fn ask_unmap(&mut self, queue: usize, slot: Slot) -> Result<(), FuseError> {
        self.watch.step(format!("unmap {slot:?}"));
        let shown = self.shown.0.get(&slot).map(|shown| shown.file);
        let node = shown.map_or_else(Default::default, |file| self.files.get(file).node);
        self.clients[queue].remove_mapping(node, &[(slot.offset(), RANGE)])
    }

    /// Stores random bytes through a slot, within the file.
    pub fn store(&mut self, slot: Slot, at: u64, len: usize) -> Result<()> {
        let content = self.random(len);
        let (shown, room) = self.visible(slot)?;
        ensure!(at + len as u64 <= room, "a store behind the file's end");
        self.window
            .write(WindowOffset(slot.offset().0 + at), &content)?;
        let file = self.files.get_mut(shown.file);
        file.put((shown.from.0 + at) as usize, &content);
        Ok(())
    }

    /// Loads all bytes that a slot shows of its file.
    pub fn load(&mut self, slot: Slot) -> Result<()> {
        let (_, room) = self.visible(slot)?;
        self.load_part(slot, 0, room as usize)
    }

    /// Loads the first bytes of a slot, which is enough to identify the file.
    pub fn load_some(&mut self, slot: Slot) -> Result<()> {
        let (_, room) = self.visible(slot)?;
        self.load_part(slot, 0, (room as usize).min(4096))
    }

    /// The slot's content, and the number of the file's bytes that it shows.
    fn visible(&self, slot: Slot) -> Result<(Shown, u64)> {
        let shown = *self.shown.0.get(&slot).context("a slot that is shown")?;
        let size = self.files.get(shown.file).bytes.len() as u64;
        Ok((shown, size.saturating_sub(shown.from.0).min(RANGE)))
    }

    /// The number of the file's bytes that a slot shows.
    pub fn room(&self, slot: Slot) -> u64 {
        self.visible(slot).map_or(0, |(_, room)| room)
    }

    fn load_part(&self, slot: Slot, at: u64, len: usize) -> Result<()> {
        let (shown, _) = self.visible(slot)?;
        if len == 0 {
            // The file may end before the slot's file offset.
            return Ok(());
        }
        let file = self.files.get(shown.file);
        let mut got = vec![0; len];
        self.window
            .read(WindowOffset(slot.offset().0 + at), &mut got)?;
        let from = (shown.from.0 + at) as usize;
        let what = format!("{} through {slot:?}", file.name);
        bytes::compare(&what, &got, &file.bytes[from..from + len])
    }
}
