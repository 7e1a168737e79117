// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM tells the daemon, through the view, about pages that it has lost. The guest is told at its
//! next fsync. `qemu/guard` does the VMM's part.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use virtiofs_driver::{FileOffset, FuseError, Handle, NodeId, WindowOffset};

use crate::http::Samples;
use crate::metrics::{FRESH, rig};
use crate::rig::{RANGE, Rig};

/// The request's number in `qemu/guard`.
const TELL: libc::c_ulong = 0x4018_4401;

/// The VMM's message about the view that is mapped at this range of the window.
fn tell(rig: &Rig, range: u64, words: [u64; 3]) -> Result<i32> {
    let mapping = rig.window()?.mapping_at(WindowOffset(range * RANGE));
    let view = mapping.context("nothing is mapped there")?.file;
    Ok(ask(&view, TELL, &words))
}

fn ask(view: &File, request: libc::c_ulong, argument: &[u64; 3]) -> i32 {
    // SAFETY: the argument is as long as the request says.
    match unsafe { libc::ioctl(view.as_raw_fd(), request, argument) } {
        0 => 0,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(-1),
    }
}

/// Maps two files at the first two ranges of the window.
fn mapped(rig: &mut Rig) -> Result<[(NodeId, Handle); 2]> {
    let files = [rig.file("one", b"content")?, rig.file("other", b"content")?];
    for ((node, _), at) in files.iter().zip([0, RANGE]) {
        let (from, at) = (FileOffset(0), WindowOffset(at));
        rig.client.setup_mapping(*node, from, RANGE, at, true)?;
    }
    Ok(files)
}

fn open(rig: &mut Rig, node: NodeId) -> Result<Handle> {
    Ok(Handle(rig.client.open(node, libc::O_RDWR)?.fh))
}

fn errno(result: Result<(), FuseError>) -> Option<i32> {
    result.err().and_then(|error| error.errno())
}

#[test]
fn fsync_and_flush_of_that_file_fail_once() -> Result<()> {
    let (mut rig, address) = rig()?;
    let [(one, handle), (other, other_handle)] = mapped(&mut rig)?;
    let before = Samples::take(&address)?;
    for flush_first in [false, true] {
        assert_eq!(tell(&rig, 0, [4096, 3, 1])?, 0);
        assert_eq!(errno(rig.client.fsync(other, other_handle, false)), None);
        assert_eq!(errno(rig.client.flush(other, other_handle)), None);
        if flush_first {
            assert_eq!(errno(rig.client.flush(one, handle)), Some(libc::EIO));
            assert_eq!(errno(rig.client.flush(one, handle)), None, "once");
        }
        let failed = rig.client.fsync(one, handle, false);
        assert_eq!(errno(failed), Some(libc::EIO), "flush: {flush_first}");
        assert_eq!(errno(rig.client.fsync(one, handle, true)), None, "once");
        assert_eq!(errno(rig.client.flush(one, handle)), None, "told by fsync");
    }
    std::thread::sleep(FRESH);
    let after = Samples::take(&address)?;
    let since = after.since(&before);
    assert_eq!(since.get("lost_stored_pages_total"), Some(&6.0));
    assert_eq!(since.get("lost_mapped_pages_total"), Some(&6.0));
    let log = rig.daemon.log();
    assert!(
        log.contains("3 pages that the guest has stored to"),
        "{log}"
    );
    assert_eq!(log.matches("pages that the guest has stored to").count(), 1);
    Ok(())
}

/// A close or an fsync by one program hides a loss from no other program.
#[test]
fn each_handle_that_was_open_hears_of_a_loss() -> Result<()> {
    let (mut rig, _) = rig()?;
    let [(one, handle), _] = mapped(&mut rig)?;
    let opened_before = open(&mut rig, one)?;
    assert_eq!(tell(&rig, 0, [0, 1, 1])?, 0);

    let opened_after = open(&mut rig, one)?;
    assert_eq!(
        errno(rig.client.flush(one, opened_after)),
        None,
        "not its stores"
    );
    assert_eq!(errno(rig.client.flush(one, handle)), Some(libc::EIO));

    // Only a FLUSH has failed yet. A program that has closed the file, and reopens it to ask, is
    // told of the loss.
    let reopened = open(&mut rig, one)?;
    assert_eq!(
        errno(rig.client.flush(one, reopened)),
        None,
        "not its stores"
    );
    for handle in [reopened, opened_after] {
        assert_eq!(errno(rig.client.fsync(one, handle, false)), Some(libc::EIO));
    }
    let told = open(&mut rig, one)?;
    assert_eq!(
        errno(rig.client.fsync(one, told, false)),
        None,
        "others know"
    );
    for handle in [handle, opened_before] {
        assert_eq!(errno(rig.client.fsync(one, handle, false)), Some(libc::EIO));
    }

    // All handles have to be told of the next loss.
    assert_eq!(tell(&rig, 0, [0, 1, 1])?, 0);
    for handle in [handle, opened_before, opened_after, told] {
        assert_eq!(errno(rig.client.flush(one, handle)), Some(libc::EIO));
        assert_eq!(errno(rig.client.fsync(one, handle, false)), Some(libc::EIO));
        assert_eq!(errno(rig.client.fsync(one, handle, false)), None);
    }
    Ok(())
}

/// Lost pages that were only read are no loss for the guest.
#[test]
fn pages_that_were_not_stored_to_are_only_counted() -> Result<()> {
    let (mut rig, address) = rig()?;
    let [(one, handle), _] = mapped(&mut rig)?;
    assert_eq!(tell(&rig, 0, [0, 5, 0])?, 0);
    assert_eq!(errno(rig.client.fsync(one, handle, false)), None);
    // The loss also counts while the guest makes no request.
    assert_eq!(tell(&rig, 1, [0, 2, 0])?, 0);
    std::thread::sleep(FRESH);
    Samples::take(&address)?;
    std::thread::sleep(FRESH);
    let samples = Samples::take(&address)?;
    assert_eq!(samples.of("lost_mapped_pages_total"), Some(7.0));
    assert_eq!(samples.of("lost_stored_pages_total"), Some(0.0));
    Ok(())
}

/// A hostile QEMU can make fsyncs fail on files that it has mapped, and has no other effect.
#[test]
fn nonsense_is_refused_and_a_report_outlives_no_file() -> Result<()> {
    let (mut rig, _) = rig()?;
    let [(one, handle), (other, other_handle)] = mapped(&mut rig)?;
    let mapping = rig.window()?.mapping_at(WindowOffset(0));
    let view = mapping.context("it is mapped")?.file;
    for request in [TELL + 1, 0x4010_4401, 0x4401, 0x5401] {
        assert_eq!(
            ask(&view, request, &[0, 1, 1]),
            libc::ENOTTY,
            "{request:#x}"
        );
    }
    for words in [[u64::MAX, u64::MAX, 1], [0, 0, 1], [0, 1, 7]] {
        assert_eq!(tell(&rig, 0, words)?, 0);
    }
    assert_eq!(errno(rig.client.fsync(other, other_handle, false)), None);
    assert_eq!(errno(rig.client.fsync(one, handle, false)), Some(libc::EIO));
    // The guest forgets the file before it has asked.
    assert_eq!(tell(&rig, 0, [0, 1, 1])?, 0);
    assert_eq!(errno(rig.client.fsync(other, other_handle, false)), None);
    rig.client.init(&virtiofs_driver::InitOptions::linux())?;
    let (one, handle) = rig.file("one", b"content")?;
    assert_eq!(errno(rig.client.fsync(one, handle, false)), None);
    Ok(())
}
