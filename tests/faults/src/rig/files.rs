// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files through FUSE. Each step is checked at once.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, anyhow, ensure};
use virtiofs_driver::fuse::EntryOut;
use virtiofs_driver::{Client, FileOffset, Handle, NodeId};

use super::{Rig, outcome};
use crate::checks::bytes;
use crate::model::{FileId, FileModel, Files};

/// Bytes of one WRITE or READ.
const CHUNK: usize = 512 << 10;

impl Rig {
    /// Makes a file of this size with random content.
    pub fn create(&mut self, queue: usize, size: usize) -> Result<FileId> {
        let id = self.create_empty(queue)?;
        let content = self.random(size);
        self.write(queue, id, 0, &content)?;
        Ok(id)
    }

    /// Makes an empty file.
    pub fn create_empty(&mut self, queue: usize) -> Result<FileId> {
        let name = Files::new_name();
        self.watch.step(format!("create {name}"));
        let client = &mut self.clients[queue];
        let (entry, open) = client.create(NodeId::ROOT, &name, libc::O_RDWR, 0o644)?;
        Ok(self.files.add(FileModel {
            name,
            node: NodeId(entry.nodeid),
            handle: Handle(open.fh),
            bytes: Vec::new(),
        }))
    }

    /// Random bytes.
    pub fn random(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// WRITE of all bytes of `content`.
    pub fn write(&mut self, queue: usize, id: FileId, at: usize, content: &[u8]) -> Result<()> {
        self.watch.step(format!("write {id:?}"));
        let file = self.files.get_mut(id);
        for (number, part) in content.chunks(CHUNK).enumerate() {
            let at = at + number * CHUNK;
            let offset = FileOffset(at as u64);
            let written =
                self.clients[queue].write_slice(file.node, file.handle, offset, part)? as usize;
            file.put(at, &part[..written]);
            ensure!(written == part.len(), "{written} bytes written at {offset}");
        }
        Ok(())
    }

    /// READ of at most `len` bytes.
    ///
    /// # Errors
    /// If the request fails, or the bytes differ from the model.
    pub fn read(&mut self, queue: usize, id: FileId, at: usize, len: usize) -> Result<()> {
        self.watch.step(format!("read {id:?}"));
        let file = self.files.get(id);
        let end = file.bytes.len().min(at.saturating_add(len.min(CHUNK)));
        let wanted = file.bytes.get(at..end).unwrap_or_default();
        let offset = FileOffset(at as u64);
        let got = self.clients[queue].read_vec(file.node, file.handle, offset, len.min(CHUNK))?;
        bytes::compare(&format!("{} by READ at {at}", file.name), &got, wanted)
    }

    /// SETATTR of the size.
    pub fn truncate(&mut self, queue: usize, id: FileId, size: usize) -> Result<()> {
        self.watch.step(format!("truncate {id:?} to {size}"));
        let file = self.files.get_mut(id);
        let to = FileOffset(size as u64);
        let attr = self.clients[queue].truncate(file.node, Some(file.handle), to)?;
        file.bytes.resize(size, 0);
        ensure!(attr.size == to.0, "the size is {} after {to}", attr.size);
        Ok(())
    }

    /// A program on the host writes to the file, which grows if necessary.
    pub fn write_on_host(&mut self, id: FileId, at: usize, content: &[u8]) -> Result<()> {
        self.watch.step(format!("write {id:?} on the host"));
        self.on_host(id)?.write_all_at(content, at as u64)?;
        self.files.get_mut(id).put(at, content);
        Ok(())
    }

    /// A program on the host truncates the file, possibly while it is mapped. With
    /// `--host-truncate=refuse` the truncation fails if it would take mapped pages.
    pub fn truncate_on_host(&mut self, id: FileId, size: usize) -> Result<()> {
        self.watch
            .step(format!("truncate {id:?} to {size} on the host"));
        let truncated = self.on_host(id)?.set_len(size as u64);
        let file = self.files.get_mut(id);
        match truncated.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) => file.bytes.resize(size, 0),
            Err((Some(libc::ETXTBSY), _)) => {
                let takes = size < file.bytes.len();
                let mapped = !self.shown.of(id).is_empty();
                ensure!(takes && mapped, "refused, and took nothing that is mapped");
            }
            Err((_, error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn on_host(&self, id: FileId) -> Result<File> {
        let path = self.daemon.share().join(&self.files.get(id).name);
        Ok(File::options().write(true).open(path)?)
    }

    /// RELEASE, and OPEN of the same node.
    pub fn reopen(&mut self, queue: usize, id: FileId) -> Result<()> {
        self.watch.step(format!("reopen {id:?}"));
        let file = self.files.get_mut(id);
        let client = &mut self.clients[queue];
        client.release(file.node, file.handle)?;
        file.handle = open(client, file.node)?;
        Ok(())
    }

    /// Removes a file: its mappings, its handle, its name, its node.
    pub fn remove(&mut self, queue: usize, id: FileId) -> Result<()> {
        for slot in self.shown.of(id) {
            self.unmap(queue, slot)?;
        }
        self.watch.step(format!("remove {id:?}"));
        let file = self.files.remove(id).context("a file that is there")?;
        let client = &mut self.clients[queue];
        client.release(file.node, file.handle)?;
        client.unlink(NodeId::ROOT, &file.name)?;
        // The lookup that CREATE has made.
        client.forget(file.node, 1)?;
        Ok(())
    }

    /// After a new INIT, looks up and opens the guest's files again.
    pub fn find_again(&mut self, queue: usize) -> Result<()> {
        self.watch.step("look files up");
        for id in self.files.ids() {
            let name = self.files.get(id).name.clone();
            let client = &mut self.clients[queue];
            let EntryOut { nodeid, .. } = client.lookup(NodeId::ROOT, &name)?;
            let handle = open(client, NodeId(nodeid))?;
            let file = self.files.get_mut(id);
            (file.node, file.handle) = (NodeId(nodeid), handle);
        }
        Ok(())
    }
}

/// Opens as Linux does, which asks once more after ESTALE. The daemon reports a broken DAX promise
/// by ESTALE.
fn open(client: &mut Client, node: NodeId) -> Result<Handle> {
    let mut opened = outcome(client.open(node, libc::O_RDWR))?;
    if matches!(opened, Err(libc::ESTALE)) {
        opened = outcome(client.open(node, libc::O_RDWR))?;
    }
    let opened = opened.map_err(|errno| anyhow!("OPEN failed with errno {errno}"))?;
    Ok(Handle(opened.fh))
}
