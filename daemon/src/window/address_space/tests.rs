// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Only memory is memory, and the window is where the VMM has it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use shared_window::{
    Access, DirectViews, FileOffset as WindowFileOffset, ProcessWindow, RegionBudget, SetupRange,
    Window, WindowOffset, WindowSize,
};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestAddressSpace, GuestRegionMmap};

use super::{AddressSpace, FileNumber, Learnt, MOST_REGIONS};
use crate::adapter::{Mapped, TransportMemory};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 4 * MIB;
/// The window's address in these tests.
const BASE: u64 = 1 << 40;

/// A window of this process with a file of 1 MiB at its offset 2 MiB, which holds `byte`.
fn window(byte: u8) -> Window<Arc<ProcessWindow>, DirectViews> {
    let size = WindowSize::new(SIZE).expect("a power of two");
    let vmm = Arc::new(ProcessWindow::new(size).expect("a window"));
    let window = Window::new(size, vmm, DirectViews, Arc::new(RegionBudget::default()));
    let file = memory_file();
    file.write_all_at(&vec![byte; MIB as usize], 0)
        .expect("content");
    let range = SetupRange {
        window: WindowOffset(2 * MIB),
        file: WindowFileOffset(0),
        len: MIB,
        access: Access::ReadWrite,
    };
    window.setup(file.as_fd(), range).expect("mapped");
    window
}

fn memory_file() -> File {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(MIB).expect("room");
    file
}

fn table(regions: &[(u64, &File)]) -> TransportMemory {
    let regions = regions.iter().map(|(start, file)| {
        let file = FileOffset::new(file.try_clone().expect("a descriptor"), 0);
        GuestRegionMmap::from_range(GuestAddress(*start), MIB as usize, Some(file))
            .expect("a region")
    });
    TransportMemory::from_regions(regions.collect()).expect("a table")
}

fn space(window: &Window<Arc<ProcessWindow>, DirectViews>, up_to_date: bool) -> Arc<AddressSpace> {
    let window = (window.size(), window.live_ranges());
    Arc::new(AddressSpace::new(Some(window), up_to_date))
}

/// Whether there is memory at the address.
fn is_memory(space: &AddressSpace, at: u64) -> bool {
    space
        .memory()
        .memory()
        .read_obj::<u8>(GuestAddress(at))
        .is_ok()
}

/// The byte of the file at the address, if there is one.
fn byte_at(space: &AddressSpace, at: u64) -> Option<u8> {
    let piece = space.at(GuestAddress(at), 1)?;
    let file: OwnedFd = piece
        .file
        .as_fd()
        .try_clone_to_owned()
        .expect("a descriptor");
    let mut byte = [0];
    File::from(file)
        .read_exact_at(&mut byte, piece.offset)
        .expect("a byte");
    Some(byte[0])
}

fn probe(space: &AddressSpace, tables: &[&[(u64, &File)]]) -> Learnt {
    probe_at(space, WindowOffset(0), tables)
}

fn probe_at(space: &AddressSpace, at: WindowOffset, tables: &[&[(u64, &File)]]) -> Learnt {
    let scratch = memory_file();
    let mut all: Vec<_> = tables.iter().map(|regions| regions.to_vec()).collect();
    for regions in &mut all {
        // Address 1 stands for the probe.
        for (start, file) in regions.iter_mut().filter(|(start, _)| start % 2 == 1) {
            (*start, *file) = (*start - 1, &scratch);
        }
    }
    space.expect_probe(FileNumber::of(&scratch).expect("a number"), at);
    for regions in &all {
        space.update(&table(regions));
    }
    space.forget_probe()
}

#[test]
fn the_window_is_where_the_probe_is() {
    let (window, ram) = (window(3), memory_file());
    let space = space(&window, false);
    space.update(&table(&[(0, &ram)]));
    assert_eq!(byte_at(&space, BASE + 2 * MIB), None, "not known yet");
    let learnt = probe(&space, &[&[(0, &ram), (BASE + 1, &ram)], &[(0, &ram)]]);
    assert_eq!(learnt, Learnt::Known);
    assert_eq!(byte_at(&space, BASE + 2 * MIB), Some(3));
    assert_eq!(byte_at(&space, BASE + 3 * MIB - 1), Some(3));
    for nothing in [
        BASE - 1,
        BASE,
        BASE + 2 * MIB - 1,
        BASE + 3 * MIB,
        BASE + SIZE,
        0,
    ] {
        assert_eq!(byte_at(&space, nothing), None, "{nothing:#x}");
    }
    assert!(is_memory(&space, 0) && !is_memory(&space, BASE));

    // A probe need not be at its beginning.
    let at = WindowOffset(MIB);
    let learnt = probe_at(&space, at, &[&[(0, &ram), (3 * BASE + MIB + 1, &ram)]]);
    assert_eq!(learnt, Learnt::Known);
    assert_eq!(byte_at(&space, 3 * BASE + 2 * MIB), Some(3));

    // The next kernel puts it elsewhere.
    let learnt = probe(&space, &[&[(0, &ram), (2 * BASE + 1, &ram)]]);
    assert_eq!(learnt, Learnt::Known);
    assert_eq!(byte_at(&space, BASE + 2 * MIB), None);
    assert_eq!(byte_at(&space, 2 * BASE + 2 * MIB), Some(3));
}

#[test]
fn a_stale_table_is_no_memory_in_the_window() {
    let (window, ram, gone) = (window(3), memory_file(), memory_file());
    gone.write_all_at(&[9; 64], 0).expect("content");
    let space = space(&window, false);
    probe(&space, &[&[(0, &ram), (BASE + 1, &ram)]]);
    // The last table that fits: another file lay where this one is mapped now, and one where
    // nothing is.
    space.update(&table(&[(0, &ram), (BASE, &gone), (BASE + 2 * MIB, &gone)]));
    assert_eq!(byte_at(&space, BASE + 2 * MIB), Some(3));
    assert_eq!(byte_at(&space, BASE), None);
    assert!(!is_memory(&space, BASE) && !is_memory(&space, BASE + 2 * MIB));
    assert!(is_memory(&space, 0));
}

#[test]
fn a_full_table_is_told_and_an_address_is_kept_for_one_driver() {
    let (window, ram) = (window(3), memory_file());
    let full: Vec<_> = (0..MOST_REGIONS as u64)
        .map(|at| (at * MIB, &ram))
        .collect();
    let space = space(&window, false);
    assert_eq!(probe(&space, &[&full]), Learnt::Full);
    assert_eq!(
        probe(&space, &[&[(0, &ram)]]),
        Learnt::Untold,
        "it had room"
    );
    probe(&space, &[&[(0, &ram), (BASE + 1, &ram)]]);
    assert_eq!(probe(&space, &[&full]), Learnt::Known, "mounted again");
    assert_eq!(byte_at(&space, BASE + 2 * MIB), Some(3));
    space.restarted();
    assert_eq!(probe(&space, &[&full]), Learnt::Full, "perhaps moved");
    assert_eq!(byte_at(&space, BASE + 2 * MIB), None);

    let told = self::space(&window, true);
    assert_eq!(
        probe(&told, &[&full]),
        Learnt::Untold,
        "more regions will fit"
    );
}
