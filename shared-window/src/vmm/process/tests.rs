// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window of this process keeps QEMU's rules.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::units::page_size;

fn window() -> ProcessWindow {
    ProcessWindow::new(WindowSize::new(16 * page_size()).unwrap()).unwrap()
}

fn file(pages: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(pages * page_size()).unwrap();
    file
}

fn map(window: &ProcessWindow, file: &File, at: u64, pages: u64) -> Result<(), VmmError> {
    let (at, len) = (WindowOffset(at * page_size()), pages * page_size());
    window.map(at, len, file.as_fd(), FileOffset(0), Access::ReadWrite)
}

fn reason(refused: Result<(), VmmError>) -> ProcessWindowError {
    match refused {
        Err(VmmError::Refused {
            reason: Some(reason),
            ..
        }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn loads_and_stores_are_the_files_bytes() {
    let (window, file) = (window(), file(2));
    file.write_all_at(b"file", page_size()).unwrap();
    map(&window, &file, 3, 2).unwrap();
    let mut seen = [0; 4];
    window
        .read(WindowOffset(4 * page_size()), &mut seen)
        .unwrap();
    assert_eq!(&seen, b"file");
    window
        .write(WindowOffset(3 * page_size() + 1), b"window")
        .unwrap();
    let mut held = [0; 6];
    file.read_exact_at(&mut held, 1).unwrap();
    assert_eq!(&held, b"window");
}

#[test]
fn an_unmapped_file_is_no_longer_in_this_process() {
    let file = file(2);
    let inode = file.metadata().unwrap().ino().to_string();
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut inodes = maps.lines().map(|line| line.split_whitespace().nth(4));
        inodes.any(|one| one == Some(inode.as_str()))
    };
    let there = window();
    map(&there, &file, 3, 2).unwrap();
    assert!(is_mapped());
    let (at, len) = (WindowOffset(3 * page_size()), 2 * page_size());
    there.unmap(at, len).unwrap();
    assert!(!is_mapped(), "after unmap");
    map(&there, &file, 3, 2).unwrap();
    drop(there);
    assert!(!is_mapped(), "after the window");
}

#[test]
fn the_rules_of_qemu_hold() {
    let (window, file) = (window(), file(4));
    map(&window, &file, 4, 4).unwrap();
    for (at, pages) in [(4, 4), (5, 1), (3, 2), (7, 2), (2, 4)] {
        let refused = reason(map(&window, &file, at, pages));
        assert!(
            matches!(refused, ProcessWindowError::Overlap(_)),
            "{at}: {refused}"
        );
    }
    let refused = reason(map(&window, &file, 8, 5));
    assert!(
        matches!(refused, ProcessWindowError::BeyondEnd { .. }),
        "{refused}"
    );
    for (at, pages) in [(15, 2), (16, 1), (0, 0)] {
        let refused = reason(map(&window, &file, at, pages));
        assert!(
            matches!(refused, ProcessWindowError::OutOfBounds),
            "{at}: {refused}"
        );
    }
    for (at, pages) in [(4, 3), (5, 3), (0, 4), (3, 5)] {
        let (at, len) = (WindowOffset(at * page_size()), pages * page_size());
        let error = window.unmap(at, len).unwrap_err();
        assert!(matches!(error, VmmError::NotMapped { .. }), "{error}");
    }
    window
        .unmap(WindowOffset(4 * page_size()), 4 * page_size())
        .unwrap();
    map(&window, &file, 5, 4).unwrap();
}

#[test]
fn an_empty_file_is_refused_and_stays_empty() {
    let (window, file) = (window(), file(0));
    let refused = reason(map(&window, &file, 0, 1));
    assert!(matches!(
        refused,
        ProcessWindowError::BeyondEnd { file_end: 0, .. }
    ));
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[test]
fn holes_can_be_told_from_mappings() {
    let (window, file) = (window(), file(2));
    map(&window, &file, 1, 1).unwrap();
    let page = page_size();
    for (at, len) in [(0, 1), (page - 1, 2), (2 * page - 1, 2), (3 * page, 1)] {
        let error = window
            .read(WindowOffset(at), &mut vec![0; len])
            .unwrap_err();
        assert!(
            matches!(error, ProcessWindowError::Hole(_)),
            "{at}: {error}"
        );
    }
    window.unmap(WindowOffset(page), page).unwrap();
    window.write(WindowOffset(page), b"x").unwrap_err();
}

#[test]
fn a_mapping_for_reading_takes_no_stores() {
    let (window, file) = (window(), file(1));
    let (at, from) = (WindowOffset(0), FileOffset(0));
    window
        .map(at, page_size(), file.as_fd(), from, Access::ReadOnly)
        .unwrap();
    window.read(at, &mut [0]).unwrap();
    let error = window.write(at, b"x").unwrap_err();
    assert!(matches!(error, ProcessWindowError::ReadOnly(_)), "{error}");
}
