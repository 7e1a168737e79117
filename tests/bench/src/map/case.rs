// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cases: the kind of mappings, their number at a time, and the behaviour of the VMM.

use dax_measure::words;
use virtiofs_driver::Rules;

/// The largest number of live mappings.
pub const MOST: u32 = 4096;
/// The size of a batch; the other size is one.
pub const BATCH: u32 = 16;

/// A case, which gives two points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is mapped.
    pub kind: Kind,
    /// The behaviour of the VMM.
    pub manners: Manners,
    /// How many mappings are set up, and then removed, at a time.
    pub batch: u32,
}

words! {
    /// What is mapped.
    Kind {
        /// Ranges of one large file.
        Large = "large",
        /// Small files, each with a range of its own.
        Small = "small",
    }
}

words! {
    /// The behaviour of the VMM.
    Manners {
        /// Like QEMU 11.1: it acknowledges before the effect, and tells the daemon of each mapping
        /// as a memory region.
        Qemu = "qemu",
        /// It acknowledges after the effect and announces no mapping, so the daemon keeps its
        /// fence.
        Plain = "plain",
        /// Like QEMU with the series of patches. The daemon finds out that it needs no fence.
        Series = "series",
        /// The same, with files mapped directly, without views.
        Bare = "bare",
    }
}

impl Case {
    /// All cases with this behaviour.
    pub fn all(manners: Manners) -> impl Iterator<Item = Self> {
        Kind::ALL.iter().flat_map(move |&kind| {
            [1, BATCH].map(|batch| Self {
                kind,
                manners,
                batch,
            })
        })
    }

    /// The name of a point. `verb` is `setup` or `remove`.
    pub fn name(self, verb: &str) -> String {
        format!(
            "{verb}-{}-{}/{}",
            self.kind.name(),
            self.manners.name(),
            self.batch
        )
    }

    /// A description for people.
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

    /// The daemon's arguments for this behaviour.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Bare => &["--fault=views=direct"],
            Self::Qemu | Self::Plain | Self::Series => &[],
        }
    }

    /// How many times as long as the limit a mapping may take at most.
    pub fn of_the_limit(self) -> f64 {
        match self {
            Self::Series => 2.5,
            Self::Qemu | Self::Plain | Self::Bare => 1.5,
        }
    }
}
