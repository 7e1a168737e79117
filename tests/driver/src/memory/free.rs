// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The free ranges of a region.

use std::collections::BTreeMap;

/// Free ranges by their offset; neighbours are joined.
#[derive(Debug)]
pub(super) struct FreeRanges(BTreeMap<usize, usize>);

impl FreeRanges {
    pub(super) fn all(size: usize) -> Self {
        Self(BTreeMap::from([(0, size)]))
    }

    /// Takes the first range that is long enough.
    pub(super) fn take(&mut self, len: usize, align: usize) -> Option<usize> {
        let (start, free, at) = self.0.iter().find_map(|(start, free)| {
            let at = start.next_multiple_of(align);
            (at - start + len <= *free).then_some((*start, *free, at))
        })?;
        self.0.remove(&start);
        if at > start {
            self.0.insert(start, at - start);
        }
        let rest = start + free - (at + len);
        if rest > 0 {
            self.0.insert(at + len, rest);
        }
        Some(at)
    }

    /// Returns a range that was taken.
    pub(super) fn give(&mut self, at: usize, len: usize) {
        let (mut start, mut end) = (at, at + len);
        if let Some((before, free)) = self.0.range(..at).next_back().map(|(s, l)| (*s, *l))
            && before + free == at
        {
            self.0.remove(&before);
            start = before;
        }
        if let Some(free) = self.0.remove(&end) {
            end += free;
        }
        self.0.insert(start, end - start);
    }
}

#[cfg(test)]
mod tests {
    use super::FreeRanges;

    #[test]
    fn what_is_given_back_can_be_taken_again_as_a_whole() {
        let mut free = FreeRanges::all(4096);
        let parts: Vec<_> = (0..4).map(|_| free.take(1024, 64).expect("free")).collect();
        assert_eq!(parts, [0, 1024, 2048, 3072]);
        assert_eq!(free.take(1, 1), None);
        for at in [1024, 3072, 0, 2048] {
            free.give(at, 1024);
        }
        assert_eq!(free.take(4096, 4096), Some(0));
    }

    #[test]
    fn alignment_loses_nothing() {
        let mut free = FreeRanges::all(8192);
        assert_eq!(free.take(10, 1), Some(0));
        assert_eq!(free.take(4096, 4096), Some(4096));
        assert_eq!(free.take(4086, 1), Some(10));
    }
}
