// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Address ranges, sorted by address, in an array of fixed size: a signal handler can't allocate.

use core::ops::Range;

/// A value with an address range, of which a part can be cut out.
pub(crate) trait Span: Copy {
    /// The address range.
    fn range(&self) -> Range<usize>;

    /// The part at `range`, which lies within [`Self::range`] and is not empty.
    fn part(&self, range: Range<usize>) -> Self;
}

/// Up to `N` spans that don't overlap.
pub(crate) struct Sorted<T, const N: usize> {
    len: usize,
    items: [T; N],
}

impl<T: Span, const N: usize> Sorted<T, N> {
    /// An empty array, its memory filled with `filler`.
    pub(crate) const fn new(filler: T) -> Self {
        Self {
            len: 0,
            items: [filler; N],
        }
    }

    /// All of them.
    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    /// The index of the first span that ends behind `address`.
    fn first_behind(&self, address: usize) -> usize {
        self.as_slice()
            .partition_point(|item| item.range().end <= address)
    }

    /// The first span that ends behind `address`: the one that holds it, or else the next.
    pub(crate) fn at_or_after(&self, address: usize) -> Option<&T> {
        self.as_slice().get(self.first_behind(address))
    }

    /// The span that holds `address`.
    pub(crate) fn at(&self, address: usize) -> Option<&T> {
        self.at_or_after(address)
            .filter(|item| item.range().contains(&address))
    }

    /// The last span that ends at `address` or before.
    pub(crate) fn before(&self, address: usize) -> Option<&T> {
        let index = self.first_behind(address).checked_sub(1)?;
        self.as_slice().get(index)
    }

    /// Adds a span at a free range; `false` if the array is full.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        if self.len == N {
            return false;
        }
        let index = self.first_behind(item.range().start);
        self.len += 1;
        let Some(tail) = self.items.get_mut(index..self.len) else {
            return false;
        };
        tail.rotate_right(1);
        if let Some(place) = tail.first_mut() {
            *place = item;
        }
        true
    }

    /// Changes the span that holds `address`. Its range has to stay the same.
    pub(crate) fn change(&mut self, address: usize, change: impl FnOnce(&mut T)) {
        let (index, len) = (self.first_behind(address), self.len);
        let items = self.items.get_mut(..len).unwrap_or(&mut []);
        if let Some(item) = items.get_mut(index)
            && item.range().contains(&address)
        {
            change(item);
        }
    }

    /// Cuts `range` out of the spans that overlap it. If that makes two spans of one and the array
    /// is full, the second is dropped.
    pub(crate) fn cut(&mut self, range: &Range<usize>) {
        let first = self.first_behind(range.start);
        let touched = self
            .as_slice()
            .get(first..)
            .unwrap_or(&[])
            .partition_point(|item| item.range().start < range.end);
        let Some(spans) = self.items.get(first..first + touched) else {
            return;
        };
        let head = spans.first().and_then(|item| {
            let whole = item.range();
            (whole.start < range.start).then(|| item.part(whole.start..range.start))
        });
        let tail = spans.last().and_then(|item| {
            let whole = item.range();
            (range.end < whole.end).then(|| item.part(range.end..whole.end))
        });
        if let Some(rest) = self.items.get_mut(first..self.len) {
            rest.rotate_left(touched);
        }
        self.len -= touched;
        for left in [head, tail].into_iter().flatten() {
            self.insert(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Plain(usize, usize);

    impl Span for Plain {
        fn range(&self) -> Range<usize> {
            self.0..self.1
        }

        fn part(&self, range: Range<usize>) -> Self {
            Self(range.start, range.end)
        }
    }

    fn sorted(items: &[(usize, usize)]) -> Sorted<Plain, 4> {
        let mut all = Sorted::new(Plain(0, 0));
        for (start, end) in items {
            assert!(all.insert(Plain(*start, *end)));
        }
        all
    }

    fn left(items: &[(usize, usize)], cut: Range<usize>) -> Vec<(usize, usize)> {
        let mut all = sorted(items);
        all.cut(&cut);
        all.as_slice().iter().map(|item| (item.0, item.1)).collect()
    }

    #[test]
    fn spans_are_found_by_their_addresses() {
        let all = sorted(&[(30, 40), (10, 20), (50, 60)]);
        assert_eq!(all.at(10), Some(&Plain(10, 20)));
        assert_eq!((all.at(9), all.at(20), all.at(60)), (None, None, None));
        assert_eq!(all.at_or_after(20), Some(&Plain(30, 40)));
        assert_eq!((all.before(10), all.at_or_after(60)), (None, None));
        assert_eq!(all.before(40), Some(&Plain(30, 40)));
    }

    #[test]
    fn a_full_array_takes_no_more() {
        let mut all = sorted(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
        assert!(!all.insert(Plain(9, 10)));
        assert_eq!(all.as_slice().len(), 4);
    }

    #[test]
    fn a_cut_leaves_what_lies_outside() {
        let spans = [(10, 20), (30, 40), (50, 60)];
        assert_eq!(left(&spans, 20..30), spans);
        assert_eq!(left(&spans, 0..100), []);
        assert_eq!(left(&spans, 15..55), [(10, 15), (55, 60)]);
        assert_eq!(left(&spans, 30..40), [(10, 20), (50, 60)]);
        assert_eq!(
            left(&spans, 12..14),
            [(10, 12), (14, 20), (30, 40), (50, 60)]
        );
        assert_eq!(left(&spans, 55..90), [(10, 20), (30, 40), (50, 55)]);
    }
}
