// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A block device whose content is somebody else's to give.

use std::ffi::OsString;
use std::path::PathBuf;

use super::option::Opt;

/// A virtio-blk device on an NBD server.
#[derive(Debug, Clone)]
pub struct NbdDisk {
    /// The server's socket. It must listen before QEMU starts.
    pub socket: PathBuf,
}

impl NbdDisk {
    /// The arguments for this device, the `index`th of its machine.
    pub(super) fn args(&self, index: usize) -> Vec<OsString> {
        let id = format!("disk{index}");
        let backend = Opt::new("nbd")
            .set("node-name", &id)
            .set("server.type", "unix")
            .set("server.path", &self.socket);
        vec![
            "-blockdev".into(),
            backend.into(),
            "-device".into(),
            Opt::new("virtio-blk-pci").set("drive", &id).into(),
        ]
    }
}
