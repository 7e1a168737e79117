// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files through FUSE and through the window.

use std::fs;

use anyhow::Result;
use virtiofs_driver::{FileOffset, Handle, NodeId, Options, WindowOffset};

use crate::rig::{RANGE, Rig};

#[test]
fn a_file_is_made_written_and_shown() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let window = rig.window()?;
    let client = &mut rig.client;
    let (entry, open) = client.create(NodeId::ROOT, "file", libc::O_RDWR, 0o644)?;
    let (node, handle) = (NodeId(entry.nodeid), Handle(open.fh));
    assert_eq!(
        client.write_slice(node, handle, FileOffset(5), b"content")?,
        7
    );
    assert_eq!(
        fs::read(rig.daemon.share().join("file"))?,
        b"\0\0\0\0\0content"
    );
    assert_eq!(
        client.read_vec(node, handle, FileOffset(5), 100)?,
        b"content"
    );
    assert_eq!(client.getattr(node, None)?.size, 12);
    assert_eq!(client.lookup(NodeId::ROOT, "file")?.nodeid, node.0);

    let at = WindowOffset(RANGE);
    client.setup_mapping(node, FileOffset(0), RANGE, at, true)?;
    let mut bytes = [0; 12];
    window.read(at, &mut bytes)?;
    assert_eq!(&bytes, b"\0\0\0\0\0content");
    window.write(at, b"DAX")?;
    assert_eq!(&fs::read(rig.daemon.share().join("file"))?[..3], b"DAX");
    assert_eq!(window.mapped(), 1);
    client.remove_mapping(node, &[(at, RANGE)])?;
    assert_eq!((window.mapped(), window.violations()), (0, vec![]));
    client.release(node, handle)?;
    let error = client
        .lookup(NodeId::ROOT, "none")
        .expect_err("no such file");
    assert_eq!(error.errno(), Some(libc::ENOENT));
    Ok(())
}
