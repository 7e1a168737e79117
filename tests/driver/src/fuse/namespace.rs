// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Names.

use fuse_backend_rs::abi::fuse_abi::{
    CreateIn, EntryOut, ForgetOne, LinkIn, MkdirIn, MknodIn, Opcode, OpenOut, Rename2In, RenameIn,
};

use super::client::expect_reply;
use super::reply::Shape;
use super::{Body, Client, FuseError, Reply};
use crate::units::NodeId;

impl Client {
    /// LOOKUP. A negative entry (node 0) is returned as ENOENT.
    pub fn lookup(&mut self, parent: NodeId, name: &str) -> Result<EntryOut, FuseError> {
        self.entry(parent, Body::lookup(name))
    }

    /// LOOKUPs of a path's names one by one, from the root.
    pub fn walk(&mut self, path: &str) -> Result<EntryOut, FuseError> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let first = self.lookup(NodeId::ROOT, names.next().unwrap_or("."))?;
        names.try_fold(first, |parent, name| {
            self.lookup(NodeId(parent.nodeid), name)
        })
    }

    /// The node of a path, by LOOKUPs of its names one by one, from the root.
    pub fn node(&mut self, path: &str) -> Result<NodeId, FuseError> {
        Ok(NodeId(self.walk(path)?.nodeid))
    }

    /// CREATE; `flags` are O_….
    pub fn create(
        &mut self,
        parent: NodeId,
        name: &str,
        flags: i32,
        mode: u32,
    ) -> Result<(EntryOut, OpenOut), FuseError> {
        let args = CreateIn {
            flags: flags as u32,
            mode,
            umask: 0,
            fuse_flags: 0,
        };
        let body = Body::of(Opcode::Create, Shape::Created).with(&args);
        let reply = self.call(parent, body.name(name))?;
        expect_reply!(reply, Reply::Created(entry, open) => (entry, open))
    }

    /// MKDIR.
    pub fn mkdir(&mut self, parent: NodeId, name: &str, mode: u32) -> Result<EntryOut, FuseError> {
        let args = MkdirIn { mode, umask: 0 };
        let body = Body::of(Opcode::Mkdir, Shape::Entry).with(&args);
        self.entry(parent, body.name(name))
    }

    /// MKNOD.
    pub fn mknod(
        &mut self,
        parent: NodeId,
        name: &str,
        mode: u32,
        rdev: u32,
    ) -> Result<EntryOut, FuseError> {
        let args = MknodIn {
            mode,
            rdev,
            ..MknodIn::default()
        };
        let body = Body::of(Opcode::Mknod, Shape::Entry).with(&args);
        self.entry(parent, body.name(name))
    }

    /// SYMLINK.
    pub fn symlink(
        &mut self,
        parent: NodeId,
        name: &str,
        target: &str,
    ) -> Result<EntryOut, FuseError> {
        let body = Body::of(Opcode::Symlink, Shape::Entry);
        self.entry(parent, body.names(name, target))
    }

    /// READLINK.
    pub fn readlink(&mut self, node: NodeId) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(libc::PATH_MAX as usize)?;
        self.buffered(node, Body::readlink(into))
    }

    /// LINK: adds a name to `node`.
    pub fn link(
        &mut self,
        node: NodeId,
        parent: NodeId,
        name: &str,
    ) -> Result<EntryOut, FuseError> {
        let args = LinkIn { oldnodeid: node.0 };
        let body = Body::of(Opcode::Link, Shape::Entry).with(&args);
        self.entry(parent, body.name(name))
    }

    /// UNLINK.
    pub fn unlink(&mut self, parent: NodeId, name: &str) -> Result<(), FuseError> {
        self.finish(parent, Body::of(Opcode::Unlink, Shape::Empty).name(name))
    }

    /// RMDIR.
    pub fn rmdir(&mut self, parent: NodeId, name: &str) -> Result<(), FuseError> {
        self.finish(parent, Body::of(Opcode::Rmdir, Shape::Empty).name(name))
    }

    /// RENAME.
    pub fn rename(
        &mut self,
        (parent, name): (NodeId, &str),
        (new_parent, new_name): (NodeId, &str),
    ) -> Result<(), FuseError> {
        let newdir = new_parent.0;
        let body = Body::of(Opcode::Rename, Shape::Empty).with(&RenameIn { newdir });
        self.finish(parent, body.names(name, new_name))
    }

    /// RENAME2; `flags` are RENAME_….
    pub fn rename2(
        &mut self,
        (parent, name): (NodeId, &str),
        (new_parent, new_name): (NodeId, &str),
        flags: u32,
    ) -> Result<(), FuseError> {
        let args = Rename2In {
            newdir: new_parent.0,
            flags,
            padding: 0,
        };
        let body = Body::of(Opcode::Rename2, Shape::Empty).with(&args);
        self.finish(parent, body.names(name, new_name))
    }

    /// FORGET. There is no reply; the call returns when the device has returned the buffers.
    pub fn forget(&mut self, node: NodeId, lookups: u64) -> Result<(), FuseError> {
        self.finish(node, Body::forget(lookups))
    }

    /// BATCH_FORGET of nodes, each with its number of lookups.
    pub fn batch_forget(&mut self, nodes: &[(NodeId, u64)]) -> Result<(), FuseError> {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(node, lookups)| ForgetOne {
                nodeid: node.0,
                nlookup: *lookups,
            })
            .collect();
        self.finish(NodeId(0), Body::batch_forget(&nodes))
    }

    fn entry(&mut self, parent: NodeId, body: Body<'_>) -> Result<EntryOut, FuseError> {
        let opcode = body.opcode;
        let reply = self.call(parent, body)?;
        let entry = expect_reply!(reply, Reply::Entry(entry) => entry)?;
        if entry.nodeid == 0 {
            let errno = super::Errno(libc::ENOENT);
            return Err(FuseError::Failed { opcode, errno });
        }
        Ok(entry)
    }
}
