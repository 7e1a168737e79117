// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Byte ranges, and the locks that one owner holds on one file.

/// The last byte of a lock that reaches to the file's end, however large the file becomes
/// (`OFFSET_MAX`).
const TO_THE_END: u64 = i64::MAX as u64;

/// The kind of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shared: excludes writers.
    Read,
    /// Exclusive: excludes all others.
    Write,
}

impl Kind {
    /// Whether locks of these kinds of two owners exclude each other.
    pub(crate) fn excludes(self, other: Self) -> bool {
        self == Self::Write || other == Self::Write
    }
}

/// Bytes of a file, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    /// All bytes.
    pub(crate) const FILE: Self = Self {
        first: 0,
        last: TO_THE_END,
    };

    /// `None` if there is no such range.
    pub(crate) fn new(first: u64, last: u64) -> Option<Self> {
        (first <= last && last <= TO_THE_END).then_some(Self { first, last })
    }

    /// Start and length in the form of `struct flock`, where length 0 reaches to the end.
    pub(super) fn start_and_len(self) -> (i64, i64) {
        let len = match self.last {
            TO_THE_END => 0,
            last => last - self.first + 1,
        };
        // Both are at most `TO_THE_END`.
        (self.first as i64, len as i64)
    }

    /// The reverse of [`Self::start_and_len`], for a range that the kernel reports.
    pub(super) fn reported(start: i64, len: i64) -> Self {
        let first = start.max(0).cast_unsigned();
        let last = match len {
            ..=0 => TO_THE_END,
            len => first + (len.cast_unsigned() - 1),
        };
        Self { first, last }
    }
}

/// A lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) range: Range,
    pub(crate) kind: Kind,
    /// The process that took it, in the guest; 0 for a process of the host.
    pub(crate) pid: u32,
}

/// The locks of one owner on one file: in order, without overlaps, merged where they meet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held(Vec<Lock>);

impl Held {
    /// Gives the range this lock, or none.
    pub(super) fn set(&mut self, range: Range, kind: Option<Kind>, pid: u32) {
        let from = (self.0).partition_point(|lock| lock.range.last < range.first);
        let to = (self.0).partition_point(|lock| lock.range.first <= range.last);
        let rest = |lock: &Lock, first, last| {
            let range = Range::new(first, last)?;
            Some(Lock { range, ..*lock })
        };
        let touched = &self.0[from..to];
        let before = (touched.first()).and_then(|lock| {
            let last = range.first.checked_sub(1)?;
            rest(lock, lock.range.first, last)
        });
        let after = (touched.last()).and_then(|lock| rest(lock, range.last + 1, lock.range.last));
        let new = kind.map(|kind| Lock { range, kind, pid });
        let pieces = [before, new, after];
        self.0.splice(from..to, pieces.into_iter().flatten());
        // Those pieces and their neighbours.
        let end = self.0.len().min(from + pieces.len() + 1);
        for at in (from.max(1)..end).rev() {
            let (lock, next) = (self.0[at - 1], self.0[at]);
            if lock.kind == next.kind && lock.range.last + 1 == next.range.first {
                self.0[at - 1].range.last = next.range.last;
                self.0.remove(at);
            }
        }
    }

    /// The first lock that keeps another owner from this one.
    pub(super) fn conflict(&self, range: Range, kind: Kind) -> Option<Lock> {
        let from = self.0.partition_point(|lock| lock.range.last < range.first);
        (self.0[from..].iter())
            .take_while(|lock| lock.range.first <= range.last)
            .find(|lock| lock.kind.excludes(kind))
            .copied()
    }

    /// Whether to unlock the range would leave two locks of one.
    pub(super) fn is_split_by(&self, range: Range) -> bool {
        let around = |held: Range| held.first < range.first && range.last < held.last;
        self.0.iter().any(|lock| around(lock.range))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lock> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Held, Kind, Lock, Range};

    /// Offsets of the random programs.
    const BYTES: usize = 12;

    fn range(first: u64, last: u64) -> Range {
        Range::new(first, last).expect("a range")
    }

    fn locks(held: &Held) -> Vec<(u64, u64, Kind)> {
        let of = |lock: &Lock| (lock.range.first, lock.range.last, lock.kind);
        held.iter().map(of).collect()
    }

    #[test]
    fn a_range_is_what_fcntl_takes() {
        assert_eq!(Range::new(1, 0), None);
        assert_eq!(Range::new(0, 1 << 63), None);
        for (range, form) in [
            (range(0, 0), (0, 1)),
            (range(5, 9), (5, 5)),
            (Range::FILE, (0, 0)),
            (range(7, Range::FILE.last), (7, 0)),
        ] {
            assert_eq!(range.start_and_len(), form);
            assert_eq!(Range::reported(form.0, form.1), range);
        }
    }

    #[test]
    fn locks_split_and_merge() {
        let mut held = Held::default();
        held.set(range(0, 99), Some(Kind::Read), 1);
        held.set(range(40, 59), Some(Kind::Write), 1);
        let split = [
            (0, 39, Kind::Read),
            (40, 59, Kind::Write),
            (60, 99, Kind::Read),
        ];
        assert_eq!(locks(&held), split);
        held.set(range(40, 59), Some(Kind::Read), 1);
        assert_eq!(locks(&held), [(0, 99, Kind::Read)]);
        held.set(range(100, Range::FILE.last), Some(Kind::Read), 1);
        assert_eq!(locks(&held), [(0, Range::FILE.last, Kind::Read)]);
        held.set(range(10, 10), None, 1);
        assert_eq!(held.len(), 2);
        held.set(Range::FILE, None, 1);
        assert!(held.is_empty());
    }

    fn kind() -> impl Strategy<Value = Option<Kind>> {
        prop_oneof![Just(None), Just(Some(Kind::Read)), Just(Some(Kind::Write))]
    }

    proptest! {
        #[test]
        fn each_byte_has_the_lock_it_was_given_last(
            steps in prop::collection::vec((0..BYTES, 0..BYTES, kind()), 0..40)
        ) {
            let (mut held, mut model) = (Held::default(), [None; BYTES]);
            for (one, other, kind) in steps {
                let (first, last) = (one.min(other), one.max(other));
                held.set(range(first as u64, last as u64), kind, 0);
                model[first..=last].fill(kind);
                for (at, kind) in model.iter().enumerate() {
                    let byte = range(at as u64, at as u64);
                    let found = held.conflict(byte, Kind::Write).map(|lock| lock.kind);
                    prop_assert_eq!(found, *kind);
                    let found = held.conflict(byte, Kind::Read).map(|lock| lock.kind);
                    prop_assert_eq!(found, kind.filter(|kind| *kind == Kind::Write));
                }
                let mut runs = model.to_vec();
                runs.dedup();
                prop_assert_eq!(held.len(), runs.iter().flatten().count(), "merged");
            }
        }
    }
}
