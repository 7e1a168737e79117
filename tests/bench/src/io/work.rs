// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The kinds of work for a daemon.

use std::fmt;

use dax_measure::Bound;

use crate::{files::MANY_COUNT, model::Measure, system::Affinity};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// GETATTR of one file.
    GetAttr,
    /// LOOKUP of names that the guest holds.
    LookupHot,
    /// LOOKUP of names that the guest does not hold, and FORGET.
    LookupCold,
    /// OPEN and RELEASE of one file.
    OpenRelease,
    /// READDIRPLUS through a large folder.
    ReadDirPlus,
    /// READ.
    Read(Size, Order),
    /// WRITE of the bytes that are already there.
    Write(Size, Order),
    /// READ, WRITE, GETATTR and LOOKUP in turn.
    Mixed,
}

/// The bytes of each read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// 4 KiB.
    Small,
    /// 128 KiB.
    Large,
}

/// The order of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// One after another.
    Sequential,
    /// At random offsets from a seeded generator.
    Random,
}

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Small => 4 << 10,
            Self::Large => 128 << 10,
        }
    }
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::GetAttr,
        Self::LookupHot,
        Self::LookupCold,
        Self::OpenRelease,
        Self::ReadDirPlus,
        Self::Read(Size::Small, Order::Sequential),
        Self::Read(Size::Small, Order::Random),
        Self::Write(Size::Small, Order::Sequential),
        Self::Write(Size::Small, Order::Random),
        Self::Read(Size::Large, Order::Sequential),
        Self::Read(Size::Large, Order::Random),
        Self::Write(Size::Large, Order::Sequential),
        Self::Write(Size::Large, Order::Random),
        Self::Mixed,
    ];

    /// A description for people.
    pub fn about(self) -> String {
        match self {
            Self::GetAttr => "GETATTR of one file".into(),
            Self::LookupHot => "LOOKUP of 8 names that the guest holds".into(),
            Self::LookupCold => {
                "LOOKUP of names that the guest does not hold; BATCH_FORGET now and then".into()
            }
            Self::OpenRelease => "OPEN, then RELEASE: one operation".into(),
            Self::ReadDirPlus => {
                format!("READDIRPLUS with 64 KiB of room, through a folder of {MANY_COUNT} files")
            }
            Self::Read(size, order) => format!("READ of {} bytes, {order}", size.bytes()),
            Self::Write(size, order) => format!("WRITE of {} bytes, {order}", size.bytes()),
            Self::Mixed => {
                "READ and WRITE of 4096 bytes, GETATTR, LOOKUP, at random 5:2:2:1".into()
            }
        }
    }

    /// The aims against the peer, both with one queue: never slower; clearly faster if the daemon's
    /// own work dominates; and less processor time.
    pub fn aims(self, depth: u32) -> [(Measure, Bound); 2] {
        let large = matches!(
            self,
            Self::Read(Size::Large, _) | Self::Write(Size::Large, _)
        );
        let rate = if depth >= 32 && !large { 1.3 } else { 1.0 };
        [
            (Measure::Rate, Bound::AtLeast(rate)),
            (Measure::DaemonCpu, Bound::AtMost(0.8)),
        ]
    }

    /// The aim of a daemon that watches its queue, against the peer, for requests that take little
    /// longer than a wake-up. It can only be reached where the driver has a processor of its own.
    pub fn aim_of_polling(self, depth: u32, affinity: Affinity) -> Option<Bound> {
        let quick = match self {
            Self::GetAttr | Self::LookupHot | Self::OpenRelease => true,
            Self::Read(size, _) | Self::Write(size, _) => size == Size::Small,
            Self::LookupCold | Self::ReadDirPlus | Self::Mixed => false,
        };
        (quick && depth == 1 && affinity == Affinity::Apart).then_some(Bound::AtLeast(1.5))
    }
}

/// The form in a point's name.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |size: Size| size.bytes() >> 10;
        let order = |order| match order {
            Order::Sequential => "seq",
            Order::Random => "rand",
        };
        match *self {
            Self::GetAttr => f.write_str("getattr"),
            Self::LookupHot => f.write_str("lookup-hot"),
            Self::LookupCold => f.write_str("lookup-cold"),
            Self::OpenRelease => f.write_str("open-release"),
            Self::ReadDirPlus => f.write_str("readdirplus"),
            Self::Read(size, at) => write!(f, "read-{}k-{}", kib(size), order(at)),
            Self::Write(size, at) => write!(f, "write-{}k-{}", kib(size), order(at)),
            Self::Mixed => f.write_str("mixed"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequential => "one after the other",
            Self::Random => "anywhere",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_work_has_a_name_of_its_own() {
        let names: HashSet<String> = Work::ALL.iter().map(Work::to_string).collect();
        assert_eq!(names.len(), Work::ALL.len());
        assert!(names.contains("read-128k-rand"));
    }
}
