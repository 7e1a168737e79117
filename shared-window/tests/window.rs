// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The rules of the window that a random sequence would not spell out.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use shared_window::{
    Access, DirectViews, FileKey, FileOffset, ProcessWindow, RegionBudget, RemoveRange, SetupRange,
    Upgrade, Window, WindowOffset, WindowOptions, WindowSize, page_size,
};

const RANGE: u64 = shared_window::LINUX_RANGE;
const RANGES: u64 = 8;

type TestWindow = Window<Arc<ProcessWindow>, DirectViews>;

struct Rig {
    window: TestWindow,
    memory: Arc<ProcessWindow>,
    budget: Arc<RegionBudget>,
}

fn rig(options: WindowOptions) -> Rig {
    let size = WindowSize::new(RANGES * RANGE).unwrap();
    let memory = Arc::new(ProcessWindow::new(size).unwrap());
    let budget = Arc::new(RegionBudget::new(3));
    let (vmm, regions) = (Arc::clone(&memory), Arc::clone(&budget));
    Rig {
        window: Window::with_options(size, vmm, DirectViews, regions, options),
        memory,
        budget,
    }
}

fn file(first: u8) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(RANGES * RANGE).unwrap();
    file.write_all_at(&[first], 0).unwrap();
    file
}

fn ask(slot: u64, access: Access) -> SetupRange {
    SetupRange {
        window: WindowOffset(slot * RANGE),
        file: FileOffset(0),
        len: RANGE,
        access,
    }
}

fn remove(slot: u64, slots: u64) -> RemoveRange {
    RemoveRange {
        window: WindowOffset(slot * RANGE),
        len: slots * RANGE,
    }
}

#[test]
fn a_mapped_file_is_found_by_its_inode() {
    let Rig { window, .. } = rig(WindowOptions::default());
    let file = file(1);
    let inode = file.metadata().unwrap().ino();
    let another = || {
        let losing = window
            .mapped_files()
            .start_to_lose(inode, FileKey::numbered(1));
        losing.may_concern_another()
    };
    assert!(!another());
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    assert!(another());
    window.remove(&[remove(0, 1)]).unwrap();
    assert!(!another());
}

#[test]
fn an_upgrade_asks_the_vmm_for_nothing() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let file = file(1);
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    window
        .setup(file.as_fd(), ask(0, Access::ReadWrite))
        .unwrap();
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    let stats = window.stats();
    assert_eq!((stats.mapped, stats.unmapped), (1, 0));
    assert_eq!((stats.repeated, stats.upgraded), (2, 1));
    assert_eq!(memory.mapped()[0].1, Access::ReadWrite);
}

#[test]
fn the_faulty_upgrade_unmaps_and_maps() {
    let fault = WindowOptions {
        upgrade: Upgrade::Remap,
        ..WindowOptions::default()
    };
    let Rig { window, memory, .. } = rig(fault);
    let file = file(1);
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    assert_eq!(memory.mapped()[0].1, Access::ReadOnly);
    window
        .setup(file.as_fd(), ask(0, Access::ReadWrite))
        .unwrap();
    assert_eq!(memory.mapped()[0].1, Access::ReadWrite);
    let stats = window.stats();
    assert_eq!((stats.mapped, stats.unmapped), (2, 1));
}

#[test]
fn a_file_with_the_numbers_of_another_one_is_another_file() {
    // The key is what the server says: as if `two` had the inode number of `one`.
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let file = file(1);
    let (one, two) = (FileKey::numbered(1), FileKey::numbered(2));
    for key in [one, two.clone(), two] {
        let view = window.view(key, file.as_fd(), Access::ReadWrite).unwrap();
        window.setup_view(&view, ask(0, Access::ReadWrite)).unwrap();
    }
    let stats = window.stats();
    assert_eq!(stats.views_opened, 2, "a view each");
    assert_eq!((stats.mapped, stats.replaced, stats.repeated), (2, 1, 1));
    assert_eq!(memory.mapped().len(), 1);
}

#[test]
fn another_file_takes_over_a_range_but_not_a_part_of_one() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let (one, two) = (file(1), file(2));
    window.setup(one.as_fd(), ask(0, Access::ReadOnly)).unwrap();
    window.setup(two.as_fd(), ask(0, Access::ReadOnly)).unwrap();
    let mut seen = [0];
    memory.read(WindowOffset(0), &mut seen).unwrap();
    assert_eq!(seen, [2]);
    for (window_offset, len) in [
        (0, page_size()),
        (RANGE - page_size(), RANGE),
        (0, 2 * RANGE),
    ] {
        let part = SetupRange {
            window: WindowOffset(window_offset),
            len,
            ..ask(0, Access::ReadOnly)
        };
        let error = window.setup(one.as_fd(), part).unwrap_err();
        assert_eq!(error.errno(), libc::EBUSY, "{error}");
    }
    assert_eq!(window.snapshot().len(), 1);
}

#[test]
fn hostile_numbers_are_refused_and_change_nothing() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let file = file(1);
    let good = ask(1, Access::ReadOnly);
    window.setup(file.as_fd(), good).unwrap();
    let (end, page) = (RANGES * RANGE, page_size());
    let huge = !(page - 1);
    for (window_offset, file_offset, len) in [
        (0, 0, 0),
        (1, 0, RANGE),
        (0, 1, RANGE),
        (0, 0, RANGE - 1),
        (end, 0, page),
        (end - page, 0, 2 * page),
        (huge, 0, page),
        (page, 0, huge),
        (0, huge, page),
        (0, i64::MAX as u64 + 1, page),
        (0, i64::MAX as u64 + 1 - page, RANGE),
        (u64::MAX, u64::MAX, u64::MAX),
    ] {
        let ask = SetupRange {
            window: WindowOffset(window_offset),
            file: FileOffset(file_offset),
            len,
            access: Access::ReadWrite,
        };
        let error = window.setup(file.as_fd(), ask).unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL, "{ask:?}: {error}");
    }
    for (at, len) in [
        (0, 0),
        (end, page),
        (u64::MAX, 1),
        (page, u64::MAX),
        (RANGE, page),
    ] {
        let part = RemoveRange {
            window: WindowOffset(at),
            len,
        };
        let error = window.remove(&[part]).unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL, "{part:?}: {error}");
    }
    assert_eq!(memory.mapped().len(), 1);
}

#[test]
fn a_batch_goes_on_behind_a_range_that_is_wrong() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let file = file(1);
    for slot in 0..4 {
        window
            .setup(file.as_fd(), ask(slot, Access::ReadOnly))
            .unwrap();
    }
    let batch = [remove(0, 1), remove(6, 1), remove(2, 2)];
    let error = window.remove(&batch).unwrap_err();
    assert_eq!(error.errno(), libc::EINVAL, "{error}");
    assert_eq!(
        memory.mapped().len(),
        1,
        "all but the unknown range are removed"
    );
    let all = RemoveRange {
        window: WindowOffset(0),
        len: u64::MAX,
    };
    window.remove(&[all]).unwrap();
    assert!(memory.mapped().is_empty());
}

#[test]
fn a_full_machine_refuses_one_mapping_and_recovers() {
    let Rig { window, budget, .. } = rig(WindowOptions::default());
    let file = file(1);
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    budget.set_in_use(3);
    let error = window
        .setup(file.as_fd(), ask(1, Access::ReadOnly))
        .unwrap_err();
    assert_eq!(error.errno(), libc::ENOBUFS, "{error}");
    assert_eq!(
        error.to_string(),
        "the virtual machine has 3 memory regions in use, of 3"
    );
    window
        .setup(file.as_fd(), ask(0, Access::ReadWrite))
        .expect("what is there needs no region");
    window.remove(&[remove(0, 1)]).unwrap();
    budget.set_in_use(2);
    window
        .setup(file.as_fd(), ask(1, Access::ReadOnly))
        .unwrap();
    assert_eq!(window.stats().refused_for_regions, 1);
}

#[test]
fn a_window_has_no_more_ranges_than_it_may() {
    let size = WindowSize::new(RANGES * RANGE).unwrap();
    assert_eq!(WindowOptions::linux_ranges(size), RANGES as usize);
    let Rig { window, .. } = rig(WindowOptions {
        max_ranges: 2,
        ..WindowOptions::default()
    });
    let file = file(1);
    let setup = |slot| window.setup(file.as_fd(), ask(slot, Access::ReadOnly));
    setup(0).unwrap();
    setup(1).unwrap();
    let error = setup(2).unwrap_err();
    assert_eq!(error.errno(), libc::ENOBUFS, "{error}");
    setup(1).expect("what is there needs no other");
    let mut elsewhere = ask(1, Access::ReadOnly);
    elsewhere.file = FileOffset(RANGE);
    window
        .setup(file.as_fd(), elsewhere)
        .expect("one is replaced");
    window.remove(&[remove(0, 1)]).unwrap();
    setup(2).unwrap();
    assert_eq!(window.stats().refused_for_regions, 1);
}

#[test]
fn a_file_that_may_not_be_written_is_not_mapped() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, vec![0; RANGE as usize]).unwrap();
    let read_only = File::open(&path).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = window.setup(read_only.as_fd(), ask(0, access)).unwrap_err();
        assert_eq!(error.errno(), libc::EACCES, "{error}");
    }
    let key = FileKey::numbered(1);
    let view = window
        .view(key, read_only.as_fd(), Access::ReadOnly)
        .unwrap();
    let error = window
        .setup_view(&view, ask(0, Access::ReadOnly))
        .unwrap_err();
    assert_eq!(error.errno(), libc::EACCES, "{error}");
    assert!(memory.mapped().is_empty());
}

#[test]
fn a_window_for_reading_maps_files_that_may_not_be_written_and_nothing_for_writing() {
    let Rig { window, memory, .. } = rig(WindowOptions {
        access: Access::ReadOnly,
        ..WindowOptions::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, vec![0; RANGE as usize]).unwrap();
    let (for_reading, for_both) = (File::open(&path).unwrap(), file(1));
    for (slot, file) in [(0, &for_reading), (1, &for_both)] {
        let setup = |access| window.setup(file.as_fd(), ask(slot, access));
        for _ in 0..2 {
            let error = setup(Access::ReadWrite).unwrap_err();
            assert_eq!(error.errno(), libc::EACCES, "{error}");
            setup(Access::ReadOnly).unwrap();
        }
    }
    let mapped = memory.mapped();
    assert_eq!(mapped.len(), 2);
    assert!(mapped.iter().all(|(_, access)| *access == Access::ReadOnly));
}

/// Where the VMM keeps a guest from storing; what is mapped for reading has no moment without pages.
#[test]
fn a_file_that_may_not_be_written_is_mapped_for_reading_beside_others() {
    let Rig { window, memory, .. } = rig(WindowOptions::default());
    window.set_enforces_read_only(true);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, vec![0; RANGE as usize]).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let key = || FileKey::numbered(1);
    let to_read = window.view(key(), both.as_fd(), Access::ReadOnly).unwrap();
    let to_write = window.view(key(), both.as_fd(), Access::ReadWrite).unwrap();
    window
        .setup_view(&to_read, ask(0, Access::ReadOnly))
        .unwrap();
    window
        .setup_view(&to_write, ask(1, Access::ReadOnly))
        .unwrap();
    let allowed: Vec<_> = memory.mapped().iter().map(|one| one.1).collect();
    assert_eq!(allowed, [Access::ReadOnly, Access::ReadWrite]);
    for view in [&to_read, &to_write] {
        let error = window.setup_view(view, ask(0, Access::ReadWrite));
        assert_eq!(error.unwrap_err().errno(), libc::EACCES);
    }
    assert_eq!((window.stats().unmapped, memory.mapped().len()), (0, 2));

    window.set_enforces_read_only(false);
    let error = window.setup_view(&to_read, ask(2, Access::ReadOnly));
    assert_eq!(error.unwrap_err().errno(), libc::EACCES);
}

#[test]
fn one_view_serves_all_ranges_of_a_file_and_goes_with_the_last() {
    let Rig { window, .. } = rig(WindowOptions::default());
    let file = file(1);
    for slot in 0..3 {
        window
            .setup(file.as_fd(), ask(slot, Access::ReadOnly))
            .unwrap();
    }
    assert_eq!(window.stats().views_opened, 1);
    window.clear().unwrap();
    window
        .setup(file.as_fd(), ask(0, Access::ReadOnly))
        .unwrap();
    assert_eq!(window.stats().views_opened, 2);
}
