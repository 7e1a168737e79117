// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The list of all cases.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};

use super::scenarios::{self, Scenario};
use super::{
    KernelKind, Observation, OnHost, Pin, RemovalKind, Signs, Vmm, expected, finding, host_side,
    matrix,
};
use crate::host::{FileSystem, Rig};

/// A scenario that is run on a guest and has an outcome.
#[derive(Clone, Copy)]
pub enum Case {
    /// A cell of the matrix.
    Matrix {
        /// The file system.
        fs: FileSystem,
        /// What holds the page.
        pin: Pin,
        /// What removes it.
        removal: RemovalKind,
    },
    /// A removal on the host under a pin in the guest.
    Host {
        /// What holds the page.
        pin: Pin,
        /// What happens on the host.
        what: OnHost,
    },
    /// A scenario.
    Scenario(FileSystem, &'static Scenario),
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in FileSystem::ALL {
        for pin in Pin::ALL {
            for removal in RemovalKind::ALL {
                if removal.is_on(fs) && removal.goes_with(pin) {
                    cases.push(Case::Matrix { fs, pin, removal });
                }
            }
        }
    }
    for what in OnHost::ALL {
        let pins = Pin::ALL.into_iter().filter(|pin| what.goes_with(*pin));
        cases.extend(pins.map(|pin| Case::Host { pin, what }));
    }
    for scenario in scenarios::all() {
        cases.extend(scenario.fs.iter().map(|&fs| Case::Scenario(fs, scenario)));
    }
    cases
}

impl Case {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Matrix { fs, pin, removal } => {
                format!("matrix::{fs}::{}::{}", pin.name(), removal.name())
            }
            Self::Host { pin, what } => {
                format!("{}-{}::{}", what.name(), pin.name(), self.fs())
            }
            Self::Scenario(fs, scenario) => format!("{}::{fs}", scenario.name),
        }
    }

    /// A sentence about what happens.
    pub fn about(self) -> String {
        match self {
            Self::Matrix { fs, pin, removal } => {
                format!("on {fs}, under {}: {}", pin.about(), removal.about())
            }
            Self::Host { pin, what } => format!("under {}: {}", pin.about(), what.about()),
            Self::Scenario(_, scenario) => scenario.about.to_owned(),
        }
    }

    /// Where its expectation comes from.
    pub fn source(self) -> &'static str {
        match self {
            Self::Matrix { fs, removal, .. } => removal.source(fs),
            Self::Host { what, .. } => what.source(),
            Self::Scenario(_, scenario) => scenario.source,
        }
    }

    /// Its file system.
    pub fn fs(self) -> FileSystem {
        match self {
            Self::Matrix { fs, .. } | Self::Scenario(fs, _) => fs,
            Self::Host { .. } => FileSystem::Fuse,
        }
    }

    /// What holds the page, in the matrix.
    pub fn pin(self) -> Option<Pin> {
        match self {
            Self::Matrix { pin, .. } => Some(pin),
            Self::Host { .. } | Self::Scenario(..) => None,
        }
    }

    /// What removes it, in the matrix.
    pub fn removal(self) -> Option<RemovalKind> {
        match self {
            Self::Matrix { removal, .. } => Some(removal),
            Self::Host { .. } | Self::Scenario(..) => None,
        }
    }

    /// What the kernel owes.
    pub fn contract(self) -> Contract {
        match self {
            Self::Matrix { fs, removal, .. } => removal.contract(fs),
            Self::Host { what, .. } => what.contract(),
            Self::Scenario(_, scenario) => scenario.contract,
        }
    }

    /// The complaints and errors that it stands for.
    pub fn signs(self) -> Signs {
        match self {
            Self::Matrix { fs, removal, .. } => Signs {
                errors: removal.errors(fs),
                ..Signs::DROPPED_PAGE
            },
            Self::Host { .. } => Signs::DROPPED_PAGE,
            Self::Scenario(_, scenario) => scenario.signs,
        }
    }

    /// The outcomes that are accepted.
    pub fn expected(self, kernel: KernelKind, vmm: Vmm) -> Vec<Outcome> {
        if kernel == KernelKind::Fixed && self.contract() != Contract::KnownLimit {
            return self.fixed();
        }
        let outcomes = match self {
            Self::Matrix { fs, pin, removal } => expected(kernel, fs, pin, removal),
            Self::Host { pin, what } => return what.expected(kernel, pin, vmm),
            Self::Scenario(fs, scenario) => (scenario.expected)(kernel, fs),
        };
        match vmm {
            Vmm::Unguarded => outcomes,
            // The guest has touched a lost page. QEMU's own abort (G) does not always happen.
            Vmm::Guarded | Vmm::OneRegion if outcomes == [Outcome::VmDied] => self.survived(),
            Vmm::Guarded => outcomes,
            Vmm::OneRegion => self.without_abort(outcomes),
        }
    }

    /// The outcomes on a kernel with the lab's fixes: what the contract allows. Its reclaim does not
    /// wait for a range with a page in use. It takes another range, and so keeps the contract. No
    /// guest can wait for a server.
    pub(super) fn fixed(self) -> Vec<Outcome> {
        let proceeds = match self {
            Self::Matrix { removal, .. } => removal.reclaims(),
            Self::Host { what, .. } => what == OnHost::TruncateAndStat,
            Self::Scenario(_, scenario) => scenario.reclaims(),
        };
        match proceeds {
            true => vec![Outcome::Proceeded],
            false => self.contract().outcomes(),
        }
    }

    /// The outcomes where QEMU does not abort (G): the data that the disk has read reaches the
    /// memory of the file that owns the range by then.
    fn without_abort(self, mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let aborts = outcomes.contains(&Outcome::VmDied);
        match self.pin() {
            Some(pin) if aborts && pin.writes_page() => vec![Outcome::Harmed],
            _ => {
                outcomes.retain(|outcome| *outcome != Outcome::VmDied);
                outcomes
            }
        }
    }

    /// The outcomes where a lost page reads as zeros.
    fn survived(self) -> Vec<Outcome> {
        match self.contract() {
            Contract::MustWait => vec![Outcome::Harmed],
            // Linux warns if a copy is under way when the page leaves the page cache.
            _ => vec![Outcome::Complained, Outcome::Finished],
        }
    }

    /// The number or letter of the section of `docs/findings.md` about this case on such a kernel,
    /// if there is one.
    pub fn finding(self, kernel: KernelKind) -> Option<&'static str> {
        match self {
            Self::Matrix { fs, pin, removal } => finding(kernel, fs, pin, removal),
            Self::Host { what, .. } => (what == OnHost::TruncateAndStat).then_some("15"),
            Self::Scenario(_, scenario) => (scenario.finding)(kernel),
        }
    }

    /// Runs the case. Observations from before a failure are kept.
    ///
    /// # Errors
    ///
    /// If the lab fails, or the guest dies; [`Lacking`](crate::host::Lacking) if kernel or host lack
    /// what the case needs.
    pub async fn run(self, rig: &mut Rig, seen: &mut Observation) -> Result<()> {
        rig.needs(self.fs())?;
        match self {
            Self::Matrix { fs, pin, removal } => {
                if removal == RemovalKind::Exchange {
                    rig.needs_exchange()?;
                }
                matrix::run(rig, fs, pin, removal, seen).await
            }
            Self::Host { pin, what } => host_side::run(rig, pin, what, seen).await,
            Self::Scenario(fs, scenario) => (scenario.run)(rig, fs, seen).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_expectations_complete() {
        let cases = all();
        let names: BTreeSet<String> = cases.iter().map(|case| case.name()).collect();
        assert_eq!(names.len(), cases.len());
        for case in cases {
            for kernel in [
                KernelKind::Stock,
                KernelKind::Newer,
                KernelKind::Fixed,
                KernelKind::Seed,
                KernelKind::NoWait,
                KernelKind::NoWake,
            ] {
                for vmm in [Vmm::Guarded, Vmm::Unguarded, Vmm::OneRegion] {
                    let expected = case.expected(kernel, vmm);
                    assert!(!expected.is_empty(), "{}", case.name());
                }
            }
        }
    }

    #[test]
    fn only_lost_pages_come_out_otherwise_with_the_guard() {
        let named = |name: &str| all().into_iter().find(|case| case.name() == name).unwrap();
        let both = |name, kernel| {
            [Vmm::Unguarded, Vmm::Guarded].map(|vmm| named(name).expected(kernel, vmm))
        };
        assert_eq!(
            both("matrix::fuse::vmsplice::truncate", KernelKind::Seed),
            [vec![Outcome::VmDied], vec![Outcome::Harmed]]
        );
        assert_eq!(
            both("host-truncate-vmsplice::fuse", KernelKind::Stock),
            [vec![Outcome::VmDied], vec![Outcome::Proceeded]]
        );
        let shrinks = "server-shrinks-vmsplice::fuse";
        let with = |kernel| both(shrinks, kernel)[1].clone();
        assert_eq!(with(KernelKind::Stock), [Outcome::Complained]);
        assert_eq!(with(KernelKind::Seed), [Outcome::Proceeded]);
        // QEMU aborts, or does not.
        let [without, with] = both("matrix::fuse::aio-read::reclaim-inline", KernelKind::NoWait);
        assert_eq!(without, [Outcome::VmDied, Outcome::Proceeded]);
        assert_eq!(with, without);
    }

    #[test]
    fn a_qemu_with_one_region_never_dies() {
        for case in all() {
            for kernel in [KernelKind::Stock, KernelKind::Seed, KernelKind::NoWait] {
                let expected = case.expected(kernel, Vmm::OneRegion);
                assert!(!expected.contains(&Outcome::VmDied), "{}", case.name());
            }
        }
        let named = |name: &str| all().into_iter().find(|case| case.name() == name).unwrap();
        let of = |name| named(name).expected(KernelKind::NoWait, Vmm::OneRegion);
        let reclaim = "matrix::fuse::aio-read::reclaim-inline";
        assert_eq!(of(reclaim), [Outcome::Harmed]);
        let reclaim = "matrix::fuse::aio-write::reclaim-inline";
        assert_eq!(of(reclaim), [Outcome::Proceeded]);
    }

    /// A case with the same outcome on a kernel that does not wait would prove nothing.
    #[test]
    fn what_must_wait_tells_broken_kernels_from_good_ones() {
        let matrix = all().into_iter().filter(|case| case.pin().is_some());
        for case in matrix.filter(|case| case.contract() == Contract::MustWait) {
            let good = case.expected(KernelKind::Stock, Vmm::Guarded);
            for broken in [KernelKind::NoWait, KernelKind::NoWake] {
                let bad = case.expected(broken, Vmm::Guarded);
                assert!(
                    !good.iter().any(|outcome| bad.contains(outcome)),
                    "{}",
                    case.name()
                );
            }
        }
    }
}
