// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a side's guest knows of the share before it is measured.

use virtiofs_driver::{Client, FileOffset, FuseError, Handle, NodeId};

use crate::files::{DATA, MANY, NAMES};

/// Room for the entries of one READDIRPLUS.
pub const LISTING: u32 = 64 << 10;

/// Nodes, open files, and where a listing goes on.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The file that is read and written.
    pub data: NodeId,
    /// It is open.
    pub handle: Handle,
    /// The folder of names to look up.
    pub names: NodeId,
    /// The folder to list.
    pub many: NodeId,
    /// It is open.
    pub listing: Handle,
    /// Where each READDIRPLUS of a whole listing begins.
    pub cookies: Vec<FileOffset>,
}

impl Scene {
    /// Looks up and opens everything.
    ///
    /// # Errors
    ///
    /// What the daemon refuses.
    pub fn set(client: &mut Client) -> Result<Self, FuseError> {
        let mut node = |name| {
            client
                .lookup(NodeId::ROOT, name)
                .map(|found| NodeId(found.nodeid))
        };
        let (data, names, many) = (node(DATA)?, node(NAMES)?, node(MANY)?);
        let handle = Handle(client.open(data, libc::O_RDWR)?.fh);
        let listing = Handle(client.opendir(many)?.fh);
        let mut cookies = vec![FileOffset(0)];
        loop {
            let from = cookies[cookies.len() - 1];
            let entries = client.readdirplus(many, listing, from, LISTING as usize)?;
            match entries.last() {
                Some(last) => cookies.push(last.next),
                None => break,
            }
        }
        // The last one found nothing.
        cookies.pop();
        Ok(Self {
            data,
            handle,
            names,
            many,
            listing,
            cookies,
        })
    }
}
