// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window behind fuse-backend-rs's own file system, which knows only its trait.

use std::ffi::CString;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags};
use fuse_backend_rs::api::filesystem::{Context, FileSystem, FsOptions, ROOT_ID};
use fuse_backend_rs::passthrough::{Config, PassthroughFs};
use fuse_backend_rs::transport::FsCacheReqHandler;
use shared_window::{
    DirectViews, ProcessWindow, RegionBudget, Reopen, Window, WindowOffset, WindowOptions,
    WindowSize,
};

const RANGE: u64 = shared_window::LINUX_RANGE;

fn window(reopen: Reopen) -> (Window<Arc<ProcessWindow>, DirectViews>, Arc<ProcessWindow>) {
    let size = WindowSize::new(8 * RANGE).unwrap();
    let memory = Arc::new(ProcessWindow::new(size).unwrap());
    let options = WindowOptions {
        reopen,
        ..WindowOptions::default()
    };
    let budget = Arc::new(RegionBudget::default());
    let window = Window::with_options(size, Arc::clone(&memory), DirectViews, budget, options);
    (window, memory)
}

/// A share with one file of one range, and the file's inode.
fn share(dir: &tempfile::TempDir) -> (PassthroughFs, u64) {
    let path = dir.path().join("file");
    std::fs::write(&path, vec![b'.'; RANGE as usize]).unwrap();
    let fs = PassthroughFs::<()>::new(Config {
        root_dir: dir.path().to_string_lossy().into_owned(),
        do_import: true,
        ..Config::default()
    })
    .unwrap();
    fs.import().unwrap();
    fs.init(FsOptions::empty()).unwrap();
    let name = CString::new("file").unwrap();
    let entry = fs.lookup(&Context::default(), ROOT_ID, &name).unwrap();
    (fs, entry.inode)
}

#[test]
fn a_server_of_that_crate_maps_and_unmaps() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, inode) = share(&dir);
    let (mut window, memory) = window(Reopen::Writable);
    let context = Context::default();
    let mut setup = |flags: SetupmappingFlags| {
        let at = 2 * RANGE;
        fs.setupmapping(&context, inode, 0, 0, RANGE, flags.bits(), at, &mut window)
    };
    setup(SetupmappingFlags::READ).unwrap();
    setup(SetupmappingFlags::READ | SetupmappingFlags::WRITE).unwrap();
    memory.write(WindowOffset(2 * RANGE + 3), b"guest").unwrap();
    let mut read = [0; 7];
    let file = std::fs::File::open(dir.path().join("file")).unwrap();
    file.read_exact_at(&mut read, 2).unwrap();
    assert_eq!(&read, b".guest.");

    assert_eq!(window.stats().upgraded, 1, "the first one only reads");
    let no_file = FsCacheReqHandler::map(&mut window, 0, 0, RANGE, 0, -1);
    assert_eq!(no_file.unwrap_err().raw_os_error(), Some(libc::EBADF));

    let one = RemovemappingOne {
        moffset: 2 * RANGE,
        len: RANGE,
    };
    fs.removemapping(&context, inode, vec![one], &mut window)
        .unwrap();
    assert!(memory.mapped().is_empty());
    let again = fs.removemapping(&context, inode, vec![one], &mut window);
    assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn a_descriptor_for_reading_is_refused_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, inode) = share(&dir);
    let (mut window, memory) = window(Reopen::Never);
    let flags = SetupmappingFlags::READ.bits();
    let refused = fs.setupmapping(
        &Context::default(),
        inode,
        0,
        0,
        RANGE,
        flags,
        0,
        &mut window,
    );
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EACCES));
    assert!(memory.mapped().is_empty());
}
