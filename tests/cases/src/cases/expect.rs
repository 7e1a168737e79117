// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The expected results: what each kind of kernel makes of each contract.

use std::fmt;

use lab_report::model::{Contract, Outcome};

use super::{Pin, Reference, RemovalKind};
use crate::host::FileSystem;

/// What is known of a kernel's layout breaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelKind {
    /// It waits for every reference, as Linux does. So is a kernel of the user's held to be.
    Stock,
    /// It waits for pins only: with the seed's change.
    Seed,
    /// It never waits; made to show that the lab notices.
    NoWait,
    /// It never wakes who waits; made to show that the lab notices.
    NoWake,
}

impl KernelKind {
    /// The kind of the kernel of this name.
    pub fn of(label: &str) -> Self {
        match label.split_once('+') {
            Some(("build:6.12", "seed")) => Self::Seed,
            Some(("build:6.12", "nowait")) => Self::NoWait,
            Some(("build:6.12", "nowake")) => Self::NoWake,
            _ => Self::Stock,
        }
    }
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stock => "stock",
            Self::Seed => "seed",
            Self::NoWait => "nowait",
            Self::NoWake => "nowake",
        })
    }
}

/// What may come of a removal under a pin.
pub fn expected(
    kernel: KernelKind,
    fs: FileSystem,
    pin: Pin,
    removal: RemovalKind,
) -> Vec<Outcome> {
    use Outcome::{Complained, Harmed, Proceeded, Refused, Stuck, VmDied, Waited};
    match removal.contract(fs) {
        Contract::MustWait => match (kernel, pin.reference()) {
            (KernelKind::Stock, _) | (KernelKind::Seed, Reference::Pin) => vec![Waited],
            (KernelKind::Seed, Reference::Get) => vec![Harmed, VmDied, Proceeded, Complained],
            (KernelKind::NoWait, _) => vec![Harmed, VmDied, Proceeded, Complained],
            (KernelKind::NoWake, _) => vec![Stuck],
        },
        Contract::MayProceed => vec![Proceeded],
        Contract::MustRefuse => vec![Refused],
        Contract::KnownLimit => vec![VmDied],
    }
}
