// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Names.

use fuse_backend_rs::abi::fuse_abi::{
    CreateIn, EntryOut, ForgetOne, MkdirIn, MknodIn, OpenOut, Rename2In,
};

use super::client::expect_reply;
use super::{Body, Client, FuseError, Reply};
use crate::units::NodeId;

impl Client {
    /// LOOKUP. A negative entry (node 0) is returned as ENOENT.
    pub fn lookup(&mut self, parent: NodeId, name: &str) -> Result<EntryOut, FuseError> {
        let name = name.as_bytes();
        self.entry(parent, Body::Lookup { name })
    }

    /// LOOKUPs of a path's names one by one, from the root.
    pub fn walk(&mut self, path: &str) -> Result<EntryOut, FuseError> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let first = self.lookup(NodeId::ROOT, names.next().unwrap_or("."))?;
        names.try_fold(first, |parent, name| {
            self.lookup(NodeId(parent.nodeid), name)
        })
    }

    /// CREATE; `flags` are O_….
    pub fn create(
        &mut self,
        parent: NodeId,
        name: &str,
        flags: i32,
        mode: u32,
    ) -> Result<(EntryOut, OpenOut), FuseError> {
        let name = name.as_bytes();
        let args = CreateIn {
            flags: flags as u32,
            mode,
            umask: 0,
            fuse_flags: 0,
        };
        let reply = self.call(parent, Body::Create { args, name })?;
        expect_reply!(reply, Reply::Created(entry, open) => (entry, open))
    }

    /// MKDIR.
    pub fn mkdir(&mut self, parent: NodeId, name: &str, mode: u32) -> Result<EntryOut, FuseError> {
        let name = name.as_bytes();
        let args = MkdirIn { mode, umask: 0 };
        self.entry(parent, Body::Mkdir { args, name })
    }

    /// MKNOD.
    pub fn mknod(
        &mut self,
        parent: NodeId,
        name: &str,
        mode: u32,
        rdev: u32,
    ) -> Result<EntryOut, FuseError> {
        let name = name.as_bytes();
        let args = MknodIn {
            mode,
            rdev,
            ..MknodIn::default()
        };
        self.entry(parent, Body::Mknod { args, name })
    }

    /// SYMLINK.
    pub fn symlink(
        &mut self,
        parent: NodeId,
        name: &str,
        target: &str,
    ) -> Result<EntryOut, FuseError> {
        let (name, target) = (name.as_bytes(), target.as_bytes());
        self.entry(parent, Body::Symlink { name, target })
    }

    /// READLINK.
    pub fn readlink(&mut self, node: NodeId) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(libc::PATH_MAX as usize)?;
        let reply = self.call(node, Body::Readlink { into })?;
        let len = expect_reply!(reply, Reply::Data(len) => len)?;
        Ok(self.buffer.to_vec(len as usize)?)
    }

    /// LINK: adds a name to `node`.
    pub fn link(
        &mut self,
        node: NodeId,
        parent: NodeId,
        name: &str,
    ) -> Result<EntryOut, FuseError> {
        let name = name.as_bytes();
        self.entry(parent, Body::Link { node, name })
    }

    /// UNLINK.
    pub fn unlink(&mut self, parent: NodeId, name: &str) -> Result<(), FuseError> {
        let name = name.as_bytes();
        self.call(parent, Body::Unlink { name }).map(drop)
    }

    /// RMDIR.
    pub fn rmdir(&mut self, parent: NodeId, name: &str) -> Result<(), FuseError> {
        let name = name.as_bytes();
        self.call(parent, Body::Rmdir { name }).map(drop)
    }

    /// RENAME.
    pub fn rename(
        &mut self,
        (parent, name): (NodeId, &str),
        (new_parent, new_name): (NodeId, &str),
    ) -> Result<(), FuseError> {
        let body = Body::Rename {
            new_parent,
            name: name.as_bytes(),
            new_name: new_name.as_bytes(),
        };
        self.call(parent, body).map(drop)
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
        let (name, new_name) = (name.as_bytes(), new_name.as_bytes());
        self.call(
            parent,
            Body::Rename2 {
                args,
                name,
                new_name,
            },
        )
        .map(drop)
    }

    /// FORGET. There is no reply; the call returns when the device has returned the buffers.
    pub fn forget(&mut self, node: NodeId, lookups: u64) -> Result<(), FuseError> {
        self.call(node, Body::Forget { lookups }).map(drop)
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
        self.call(NodeId(0), Body::BatchForget { nodes: &nodes })
            .map(drop)
    }

    fn entry(&mut self, parent: NodeId, body: Body<'_>) -> Result<EntryOut, FuseError> {
        let opcode = body.opcode();
        let reply = self.call(parent, body)?;
        let entry = expect_reply!(reply, Reply::Entry(entry) => entry)?;
        if entry.nodeid == 0 {
            let errno = super::Errno(libc::ENOENT);
            return Err(FuseError::Failed { opcode, errno });
        }
        Ok(entry)
    }
}
