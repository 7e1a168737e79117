// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The verdict on what a case came to.
//!
//! An outcome is a wide word: a kernel can complain about anything, and a system call can fail with
//! any error. So a case also says which complaints, errors and deaths of QEMU it stands for, and any
//! other one is not as expected.

use dax_measure::lab::{Contract, Outcome, Verdict};

use super::complaint::Allowed;
use super::{Case, KernelKind, Observation, Reference, Vmm};

/// What a case may come with, besides its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The complaints that the kernel may log.
    pub complaints: &'static [Allowed],
    /// The errors that a refusal may have.
    pub errors: &'static [i32],
}

impl Signs {
    /// A page in use leaves the page cache.
    pub const DROPPED_PAGE: Self = Self {
        complaints: &[
            Allowed::warning("dax_disassociate_entry"),
            Allowed::warning("truncate_folio_batch_exceptionals"),
        ],
        errors: &[],
    };
}

/// What a kernel is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeldTo {
    /// What is known of this kernel.
    #[default]
    Known,
    /// What is known of a stock kernel of the same age, even if the lab has changed this one.
    Stock,
    /// What the system calls promise, on any kernel.
    Contract,
}

/// The end of a case.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its outcome.
    pub outcome: Outcome,
    /// What was observed.
    pub seen: &'a Observation,
    /// The signal that ended QEMU, if one did.
    pub signal: Option<i32>,
}

/// The verdict, and what it rests on.
#[derive(Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The outcomes that would have been as expected.
    pub expected: Vec<Outcome>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why an expected outcome is not as expected all the same.
    pub otherwise: Option<String>,
}

impl Case {
    /// The accepted outcomes of a kernel that is held to something.
    pub fn accepted(self, kernel: KernelKind, vmm: Vmm, held_to: HeldTo) -> Vec<Outcome> {
        match (held_to, self.contract()) {
            // Nothing is promised there.
            (_, Contract::KnownLimit) | (HeldTo::Known, _) => self.expected(kernel, vmm),
            (HeldTo::Stock, _) => self.expected(kernel.unchanged(), vmm),
            (HeldTo::Contract, _) if kernel == KernelKind::Fixed => self.fixed(),
            (HeldTo::Contract, contract) => contract.outcomes(),
        }
    }

    /// Judges what the case came to.
    pub fn judge(
        self,
        kernel: KernelKind,
        vmm: Vmm,
        held_to: HeldTo,
        ended: &Ended<'_>,
    ) -> Judgement {
        let (outcome, contract) = (ended.outcome, self.contract());
        let expected = self.accepted(kernel, vmm, held_to);
        let mut otherwise = None;
        let verdict = if outcome == Outcome::NotRun {
            Verdict::LabError
        } else if expected.contains(&outcome) {
            otherwise = self.other_signs(kernel, ended);
            match otherwise {
                None => Verdict::Expected,
                Some(_) => Verdict::Unexpected,
            }
        } else {
            let known_wrong = !expected.iter().any(|one| contract.allows(*one));
            match contract.allows(outcome) && known_wrong && ended.seen.complaints.is_empty() {
                true => Verdict::Fixed,
                false => Verdict::Unexpected,
            }
        };
        Judgement {
            expected,
            verdict,
            otherwise,
        }
    }

    /// A sign that the case does not stand for.
    fn other_signs(self, kernel: KernelKind, ended: &Ended<'_>) -> Option<String> {
        let signs = self.signs();
        let allowed = |complaint| signs.complaints.iter().any(|one| one.is(complaint));
        let mut complaints = ended.seen.complaints.iter();
        if let Some(complaint) = complaints.find(|complaint| !allowed(complaint)) {
            return Some(format!("the kernel complained otherwise: {complaint}"));
        }
        if ended.outcome == Outcome::Refused
            && let Some(Err(fault)) = &ended.seen.returned
            && !fault
                .errno
                .is_some_and(|errno| signs.errors.contains(&errno))
        {
            return Some(format!("refused with another error: {fault}"));
        }
        if let (Some(pin), Some(count)) = (self.pin(), ended.seen.references) {
            let (counted, takes) = (Reference::of_count(count), kernel.reference(pin));
            if counted != takes {
                let (counted, takes) = (counted.name(), takes.name());
                return Some(format!(
                    "the kernel holds the page by {counted}, not by {takes}: it counts {count}"
                ));
            }
        }
        if ended.outcome == Outcome::VmDied {
            let fatal = self.fatal_signal(kernel);
            if ended.signal != Some(fatal) {
                let signal = match ended.signal {
                    Some(signal) => format!("by signal {signal}"),
                    None => "without a signal".to_owned(),
                };
                return Some(format!("QEMU ended {signal}, not by signal {fatal}"));
            }
        }
        None
    }

    /// The signal that ends QEMU where the table expects that: SIGBUS of a lost page, SIGABRT of
    /// QEMU's own assertion (`docs/findings.md`, G).
    fn fatal_signal(self, kernel: KernelKind) -> i32 {
        match self.expected(kernel, Vmm::Unguarded) == [Outcome::VmDied] {
            true => libc::SIGBUS,
            false => libc::SIGABRT,
        }
    }
}

#[cfg(test)]
mod tests {
    use guest_agent::worker::Fault;

    use super::*;
    use crate::cases::{all, complaints};

    fn named(name: &str) -> Case {
        all().into_iter().find(|case| case.name() == name).unwrap()
    }

    fn seen(log: &str) -> Observation {
        Observation {
            complaints: complaints(log),
            ..Observation::default()
        }
    }

    fn verdict(
        name: &str,
        kernel: KernelKind,
        held_to: HeldTo,
        outcome: Outcome,
        seen: &Observation,
    ) -> Verdict {
        let ended = Ended {
            outcome,
            seen,
            signal: None,
        };
        let judged = named(name).judge(kernel, Vmm::Guarded, held_to, &ended);
        judged.verdict
    }

    const WARNS: &str = "WARNING: CPU: 0 PID: 1 at fs/dax.c:390 dax_disassociate_entry+0x8f/0xd0";
    const WARNS_ELSEWHERE: &str = "WARNING: CPU: 0 PID: 1 at fs/inode.c:1 iput+0x8f/0xd0";

    #[test]
    fn a_complaint_counts_by_its_severity_and_its_function() {
        let of = |log| {
            let outcome = Outcome::Complained;
            let kernel = KernelKind::Stock;
            let name = "matrix::fuse::aio-read::copy-over";
            verdict(name, kernel, HeldTo::Known, outcome, &seen(log))
        };
        assert_eq!(of(WARNS), Verdict::Expected);
        assert_eq!(of(WARNS_ELSEWHERE), Verdict::Unexpected);
        let both = format!("{WARNS}\n{WARNS_ELSEWHERE}");
        assert_eq!(of(&both), Verdict::Unexpected);
        // Expected harm excuses no other complaint.
        let harmed = |log| {
            let (name, kernel) = ("munmap-hides-pin::xfs", KernelKind::Stock);
            verdict(name, kernel, HeldTo::Known, Outcome::Harmed, &seen(log))
        };
        assert_eq!(harmed(WARNS), Verdict::Expected);
        assert_eq!(harmed(WARNS_ELSEWHERE), Verdict::Unexpected);
    }

    #[test]
    fn a_refusal_counts_by_its_error() {
        let of = |errno| {
            let fault = Fault {
                doing: "io_uring_register".to_owned(),
                errno,
                message: String::new(),
            };
            let seen = Observation {
                returned: Some(Err(fault)),
                ..Observation::default()
            };
            let name = "uring-fixed-refused::ext4";
            verdict(
                name,
                KernelKind::Stock,
                HeldTo::Known,
                Outcome::Refused,
                &seen,
            )
        };
        assert_eq!(of(Some(libc::EOPNOTSUPP)), Verdict::Expected);
        assert_eq!(of(Some(libc::EIO)), Verdict::Unexpected);
        assert_eq!(of(None), Verdict::Unexpected);
    }

    #[test]
    fn qemu_s_death_counts_by_its_signal() {
        let of = |name: &str, kernel, vmm, signal| {
            let ended = Ended {
                outcome: Outcome::VmDied,
                seen: &Observation::default(),
                signal,
            };
            named(name)
                .judge(kernel, vmm, HeldTo::Known, &ended)
                .verdict
        };
        let lost = |signal| {
            let name = "matrix::fuse::vmsplice::truncate";
            of(name, KernelKind::Seed, Vmm::Unguarded, signal)
        };
        assert_eq!(lost(Some(libc::SIGBUS)), Verdict::Expected);
        assert_eq!(lost(Some(libc::SIGABRT)), Verdict::Unexpected);
        assert_eq!(lost(None), Verdict::Unexpected);
        let aborts = |signal| {
            let name = "matrix::fuse::aio-read::reclaim-inline";
            of(name, KernelKind::NoWait, Vmm::Guarded, signal)
        };
        assert_eq!(aborts(Some(libc::SIGABRT)), Verdict::Expected);
        assert_eq!(aborts(Some(libc::SIGBUS)), Verdict::Unexpected);
    }

    #[test]
    fn a_reference_counts_by_its_kind() {
        let of = |name, kernel, references| {
            let seen = Observation {
                references,
                ..Observation::default()
            };
            verdict(name, kernel, HeldTo::Known, Outcome::Waited, &seen)
        };
        let (stock, pin) = (KernelKind::Stock, "matrix::ext4::dio-read::punch");
        assert_eq!(of(pin, stock, Some(1025)), Verdict::Expected);
        assert_eq!(of(pin, stock, None), Verdict::Expected);
        assert_eq!(of(pin, stock, Some(2)), Verdict::Unexpected);
        let get = "matrix::ext4::vmsplice::punch";
        assert_eq!(of(get, stock, Some(2)), Verdict::Expected);
        assert_eq!(of(get, stock, Some(1025)), Verdict::Unexpected);
        // Direct I/O of FUSE took another kind once.
        let fuse = "matrix::ext4::fuse-dio-read::punch";
        assert_eq!(of(fuse, KernelKind::NoBioWake, Some(2)), Verdict::Expected);
        assert_eq!(of(fuse, stock, Some(2)), Verdict::Unexpected);
    }

    #[test]
    fn a_bug_that_is_gone_is_fixed() {
        let nothing = Observation::default();
        let of = |outcome, seen: &Observation| {
            let name = "munmap-hides-pin::ext4";
            verdict(name, KernelKind::Stock, HeldTo::Known, outcome, seen)
        };
        assert_eq!(of(Outcome::Waited, &nothing), Verdict::Fixed);
        assert_eq!(of(Outcome::Waited, &seen(WARNS)), Verdict::Unexpected);
        assert_eq!(of(Outcome::Early, &nothing), Verdict::Unexpected);
        assert_eq!(of(Outcome::NotRun, &nothing), Verdict::LabError);
    }

    #[test]
    fn a_broken_kernel_fails_what_it_is_held_to() {
        let nothing = Observation::default();
        let must_wait = "matrix::fuse::vmsplice::truncate";
        let of =
            |name, held_to, outcome| verdict(name, KernelKind::NoWait, held_to, outcome, &nothing);
        assert_eq!(
            of(must_wait, HeldTo::Known, Outcome::Harmed),
            Verdict::Expected
        );
        for held_to in [HeldTo::Stock, HeldTo::Contract] {
            assert_eq!(of(must_wait, held_to, Outcome::Harmed), Verdict::Unexpected);
            assert_eq!(of(must_wait, held_to, Outcome::Waited), Verdict::Expected);
        }
        // A stock kernel has this bug, too, and the contract forbids it.
        let bug = "munmap-hides-pin::xfs";
        assert_eq!(of(bug, HeldTo::Stock, Outcome::Harmed), Verdict::Expected);
        assert_eq!(
            of(bug, HeldTo::Contract, Outcome::Harmed),
            Verdict::Unexpected
        );
        // Nothing is promised of a file that the host cuts.
        let limit = "host-truncate-vmsplice::fuse";
        assert_eq!(
            of(limit, HeldTo::Contract, Outcome::Proceeded),
            Verdict::Expected
        );
    }
}
