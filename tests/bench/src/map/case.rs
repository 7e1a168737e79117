// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is mapped, how many at a time, and how the VMM behaves.

use std::fmt;

use virtiofs_driver::Rules;

/// The most mappings that are live.
pub const MOST: u32 = 4096;
/// How many are set up at a time, beside one.
pub const BATCH: u32 = 16;

/// One pair of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is mapped.
    pub kind: Kind,
    /// How the VMM behaves.
    pub manners: Manners,
    /// How many are set up, and then removed, at a time.
    pub batch: u32,
}

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ranges of one large file.
    Large,
    /// Small files, each with a range of its own.
    Small,
}

/// How the VMM behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// As QEMU 11.1: it acknowledges before the effect, and tells the daemon of each mapping as of
    /// memory.
    Qemu,
    /// It acknowledges after the effect and announces nothing, so the daemon keeps its fence.
    Plain,
    /// As QEMU with the series of patches, of which the daemon finds out that it needs no fence.
    Series,
    /// The same, mapping files as they are, without views.
    Bare,
}

impl Case {
    /// All of them with these manners.
    pub fn all(manners: Manners) -> impl Iterator<Item = Self> {
        let kinds = [Kind::Large, Kind::Small].into_iter();
        kinds.flat_map(move |kind| {
            [1, BATCH].map(|batch| Self {
                kind,
                manners,
                batch,
            })
        })
    }

    /// The name of a point: `setup` or `remove`.
    pub fn name(self, verb: &str) -> String {
        format!("{verb}-{}-{}/{}", self.kind, self.manners, self.batch)
    }

    /// What was done, for people.
    pub fn about(self, verb: &str) -> String {
        let Self { kind, manners, .. } = self;
        let how = match (verb, self.batch) {
            (_, 1) => "one at a time".to_owned(),
            ("setup", batch) => format!("{batch} requests at a time; times are a mapping's"),
            (_, batch) => format!("{batch} ranges in a request; times are a mapping's"),
        };
        let what = match kind {
            Kind::Large => "2 MiB ranges of one large file",
            Kind::Small => "small files, of which each is mapped anew after 512 others",
        };
        let vmm = match manners {
            Manners::Qemu => "QEMU's rules: acknowledged before the effect, and announced",
            Manners::Plain => "acknowledged after the effect, not announced",
            Manners::Series => "the series' rules: acknowledged after the effect, no fence",
            Manners::Bare => "the series' rules: no fence, and no views",
        };
        format!("{what}, {how}; {vmm}")
    }
}

impl Manners {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Qemu, Self::Plain, Self::Series, Self::Bare];

    /// The VMM's rules, without a limit of regions.
    pub fn rules(self) -> Rules {
        match self {
            Self::Qemu => Rules {
                regions: usize::MAX,
                ..Rules::qemu()
            },
            Self::Plain => Rules::lenient(),
            Self::Series | Self::Bare => Rules::one_region(),
        }
    }

    /// The daemon's arguments for it.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Bare => &["--fault=views=direct"],
            Self::Qemu | Self::Plain | Self::Series => &[],
        }
    }

    /// The most times that a mapping may take as long as the limit.
    pub fn of_the_limit(self) -> f64 {
        match self {
            Self::Series => 2.5,
            Self::Qemu | Self::Plain | Self::Bare => 1.5,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Large => "large",
            Self::Small => "small",
        })
    }
}

impl fmt::Display for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qemu => "qemu",
            Self::Plain => "plain",
            Self::Series => "series",
            Self::Bare => "bare",
        })
    }
}
