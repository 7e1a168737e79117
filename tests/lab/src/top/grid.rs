// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window as a row of characters, one for each range. Each file has a letter.

use super::seen::{File, Range, Window};

/// The files' letters. They repeat if there are more files.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// A free range.
pub const FREE: char = '·';
/// A range whose content is not known.
pub const UNKNOWN: char = '!';

/// The content of one range of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The character that is shown.
    pub letter: char,
    /// The index of the file, if there is one.
    pub file: Option<usize>,
}

/// The letter of a file.
pub fn letter(file: usize) -> char {
    char::from(LETTERS[file % LETTERS.len()])
}

/// All ranges of the window, in order.
pub fn cells(window: &Window) -> Vec<Cell> {
    let free = Cell {
        letter: FREE,
        file: None,
    };
    let count = window.size.div_ceil(window.range);
    let mut cells = vec![free; usize::try_from(count).unwrap_or_default()];
    for range in &window.ranges {
        let first = (range.at / window.range) as usize;
        let end = range.at.saturating_add(range.len).div_ceil(window.range) as usize;
        let end = end.min(cells.len());
        let letter = match range.state.as_str() {
            "live" => letter(range.file),
            _ => UNKNOWN,
        };
        cells[first.min(end)..end].fill(Cell {
            letter,
            file: Some(range.file),
        });
    }
    cells
}

/// A file, and its mapped ranges.
#[derive(Debug)]
pub struct Mapped<'a> {
    /// Its index.
    pub place: usize,
    /// The file.
    pub file: &'a File,
    /// The number of its ranges.
    pub ranges: usize,
    /// The number of its ranges that the guest writes to.
    pub written: usize,
    /// Bytes mapped.
    pub bytes: u64,
    /// The age of its oldest mapping, in milliseconds.
    pub oldest: u64,
}

/// The files, in the order of their numbers of ranges, the largest first.
pub fn files(window: &Window) -> Vec<Mapped<'_>> {
    let mapped = |(place, file)| {
        let of = |range: &&Range| range.file == place;
        let ranges = || window.ranges.iter().filter(of);
        Mapped {
            place,
            file,
            ranges: ranges().count(),
            written: ranges().filter(|range| range.writable).count(),
            bytes: ranges().map(|range| range.len).sum(),
            oldest: ranges().map(|range| range.age_ms).max().unwrap_or(0),
        }
    };
    let mut files: Vec<_> = window.files.iter().enumerate().map(mapped).collect();
    files.sort_by_key(|mapped| (std::cmp::Reverse(mapped.bytes), mapped.file.node));
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::seen::tests::busy;

    #[test]
    fn each_range_has_its_file_s_letter() {
        let seen = busy();
        let window = seen.window.unwrap();
        let cells = cells(&window);
        assert_eq!(cells.len(), 128);
        let shown: String = cells[..8].iter().map(|cell| cell.letter).collect();
        assert_eq!(shown, "a·ca·ab·");
        assert_eq!(cells[41].letter, UNKNOWN);
    }

    #[test]
    fn a_range_that_is_none_of_the_window_s_does_no_harm() {
        let mut window = busy().window.unwrap();
        window.ranges.truncate(2);
        window.ranges[0].at = u64::MAX;
        window.ranges[1].at = window.size - window.range;
        window.ranges[1].len = 1 << 40;
        let cells = cells(&window);
        assert_eq!(cells.iter().filter(|cell| cell.file.is_some()).count(), 1);
    }

    #[test]
    fn files_are_counted_once() {
        let seen = busy();
        let window = seen.window.unwrap();
        let files = files(&window);
        let ranges: usize = files.iter().map(|mapped| mapped.ranges).sum();
        assert_eq!(ranges, window.ranges.len());
        assert!(files.is_sorted_by_key(|mapped| std::cmp::Reverse(mapped.bytes)));
    }
}
