// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file through FUSE and through the window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io, thread};

use anyhow::Result;
use virtiofs_driver::fuse::{FsOptions, expect_errno};
use virtiofs_driver::{
    Client, FileOffset, Handle, InitOptions, NodeId, Options, QueueIndex, Vm, WindowOffset,
};

use crate::rig::{PATIENCE, RANGE, Rig, command, on_all};

#[test]
fn a_file_is_made_written_and_read() -> Result<()> {
    on_all(&[], |rig| {
        let on_host = rig.daemon.share().join("file");
        let client = &mut rig.client;
        let (entry, open) = client.create(NodeId::ROOT, "file", libc::O_RDWR, 0o644)?;
        let (node, handle) = (NodeId(entry.nodeid), Handle(open.fh));
        let written = client.write_slice(node, handle, FileOffset(5), b"content")?;
        assert_eq!(written, 7);
        assert_eq!(fs::read(on_host)?, b"\0\0\0\0\0content");
        assert_eq!(
            client.read_vec(node, handle, FileOffset(5), 100)?,
            b"content"
        );
        assert_eq!(client.getattr(node, None)?.size, 12);
        client.release(node, handle)?;
        expect_errno(
            client.lookup(NodeId::ROOT, "none"),
            libc::ENOENT,
            "no such file",
        )?;
        Ok(())
    })
}

/// Linux reads the rest of a page before it writes a part of the page back.
#[test]
fn what_is_made_for_writing_can_be_read_by_a_kernel_with_a_write_back_cache() -> Result<()> {
    let arguments = ["--writeback", "--dax-window=64M"];
    let daemon = command()?.args(arguments).start()?;
    let mut vm = Vm::connect(&daemon.socket(), &Options::default())?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    let mut init = InitOptions::linux();
    init.flags |= FsOptions::WRITEBACK_CACHE;
    client.init(&init)?;
    for (name, flags) in [
        ("written", libc::O_WRONLY),
        ("appended", libc::O_WRONLY | libc::O_APPEND),
    ] {
        let (entry, open) = client.create(NodeId::ROOT, name, flags, 0o600)?;
        let (node, handle) = (NodeId(entry.nodeid), Handle(open.fh));
        client.write_slice(node, handle, FileOffset(0), b"some content")?;
        let read = client.read_vec(node, handle, FileOffset(0), 4096)?;
        assert_eq!(read, b"some content", "{name}");
        client.write_slice(node, handle, FileOffset(5), b"CON")?;
        let on_host = fs::read(daemon.share().join(name))?;
        assert_eq!(on_host, b"some CONtent", "{name}");
    }
    Ok(())
}

#[test]
fn the_window_shows_the_host_s_bytes() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let window = rig.window()?;
    let (node, _) = rig.file("file", b"host")?;
    let on_host = rig.daemon.share().join("file");
    rig.map(node, 1)?;
    let at = WindowOffset(RANGE);
    let mut bytes = [0; 4];
    window.read(at, &mut bytes)?;
    assert_eq!(&bytes, b"host");
    window.write(at, b"DAX!")?;
    assert_eq!(fs::read(&on_host)?, b"DAX!");
    fs::write(&on_host, b"anew")?;
    window.read(at, &mut bytes)?;
    assert_eq!(&bytes, b"anew");
    assert_eq!(window.mapped(), 1);
    rig.unmap(node, 1)?;
    assert!(window.wait_until_settled(PATIENCE));
    assert_eq!((window.mapped(), window.violations()), (0, vec![]));
    Ok(())
}

#[test]
fn the_device_tells_its_tag_and_queues() -> Result<()> {
    let options = Options {
        request_queues: 2,
        ..Options::default()
    };
    let rig = Rig::start(&options)?;
    let config = rig.vm.config().expect("a configuration").clone();
    assert_eq!((config.tag.as_str(), config.request_queues), ("share", 2));
    assert_eq!(rig.window()?.size(), 64 << 20);
    Ok(())
}

/// A program on the host saves a file as editors do, again and again, while a guest opens it.
#[test]
fn a_file_that_is_replaced_all_the_time_can_be_opened_where_its_descriptor_is_kept() -> Result<()> {
    const OPENS: u32 = 3_000;
    let stale = |mode: &str| -> Result<(bool, u32)> {
        let daemon = command()?.arg(format!("--inode-file-handles={mode}"));
        let daemon = daemon.start()?;
        let mut rig = Rig::on(daemon, &Options::default())?;
        let share = rig.daemon.share().to_owned();
        let (name, other) = (share.join("file"), share.join("other"));
        fs::write(&name, b"content")?;
        let replace = || fs::write(&other, b"content").and_then(|()| fs::rename(&other, &name));
        let once = opens_stale(&mut rig.client, replace)?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let host = scope.spawn(|| -> Result<()> {
                while !done.load(Ordering::Relaxed) {
                    replace()?;
                }
                Ok(())
            });
            let often = (0..OPENS).try_fold(0, |stale, _| -> Result<u32> {
                Ok(stale + u32::from(opens_stale(&mut rig.client, || Ok(()))?))
            });
            done.store(true, Ordering::Relaxed);
            host.join().expect("it does not panic")?;
            Ok((once, often?))
        })
    };
    assert_eq!(stale("never")?, (false, 0));
    // By a handle the first open must find the file gone; Linux then looks it up again.
    let (once, often) = stale("mandatory")?;
    assert!(once);
    eprintln!("{often} of {OPENS} opens by handles found the file replaced");
    Ok(())
}

/// Looks a file up, lets `meanwhile` happen, and opens it; whether it was gone by then.
fn opens_stale(client: &mut Client, meanwhile: impl FnOnce() -> io::Result<()>) -> Result<bool> {
    let node = NodeId(client.lookup(NodeId::ROOT, "file")?.nodeid);
    meanwhile()?;
    let stale = match client.open(node, libc::O_RDONLY) {
        Ok(open) => {
            client.release(node, Handle(open.fh))?;
            false
        }
        Err(error) => {
            expect_errno(Err::<(), _>(error), libc::ESTALE, "a replaced file")?;
            true
        }
    };
    client.forget(node, 1)?;
    Ok(stale)
}
