// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Descriptions of contracts, pins and kernels.

use dax_cases::cases::{Case, KernelKind, Pin, Reference, Vmm};
use dax_cases::host::FileSystem;
use dax_measure::lab::{Contract, Outcome};

/// Every kind of kernel.
pub const KINDS: [KernelKind; 6] = [
    KernelKind::Stock,
    KernelKind::Newer,
    KernelKind::NoBioWake,
    KernelKind::Seed,
    KernelKind::NoWait,
    KernelKind::NoWake,
];

/// The document about bugs of kernels.
const FINDINGS: &str = "tests/cases/docs/findings.md";

/// The kernels of a kind.
pub fn kernels(kind: KernelKind) -> &'static str {
    match kind {
        KernelKind::Stock => "debian:6.12, build:6.12, one of your own before 6.15",
        KernelKind::Newer => "debian:latest, one of your own from 6.15 on",
        KernelKind::NoBioWake => "debian:6.1",
        KernelKind::Seed => "build:6.12+seed",
        KernelKind::Fixed => "build:6.12+fixes, build:7.3+fixes",
        KernelKind::NoWait => "build:6.12+nowait",
        KernelKind::NoWake => "build:6.12+nowake",
    }
}

/// A contract as a phrase.
pub fn phrase(contract: Contract) -> &'static str {
    match contract {
        Contract::MustWait => "must wait",
        Contract::MayProceed => "may proceed",
        Contract::MustRefuse => "must be refused",
        Contract::KnownLimit => "known QEMU limit",
    }
}

/// What a contract means.
pub fn meaning(contract: Contract) -> &'static str {
    match contract {
        Contract::MustWait => {
            "the removal takes memory away that is in use, so it must not return before the page \
             is released; then it must return, and nobody else's bytes may have changed"
        }
        Contract::MayProceed => {
            "the removal takes nothing away that the page's user needs, so it may return under \
             the pin; nobody else's bytes may change"
        }
        Contract::MustRefuse => "the pin or the removal gets an error, and nothing changes",
        Contract::KnownLimit => {
            "this can't be right under this QEMU; what happens instead is known and written down"
        }
    }
}

/// The accepted outcomes of a case on a kind of kernel.
fn expected(case: Case, kind: KernelKind) -> Vec<Outcome> {
    case.expected(kind, Vmm::Guarded)
}

/// Whether an unguarded QEMU would die of a lost page in this case.
fn ends_before(case: Case) -> bool {
    let unguarded = case.expected(KernelKind::Seed, Vmm::Unguarded);
    unguarded == [Outcome::VmDied]
}

/// Whether kernels of this kind must fulfil the case's contract.
pub fn must_pass(case: Case, kind: KernelKind) -> bool {
    let contract = case.contract();
    expected(case, kind)
        .iter()
        .all(|outcome| contract.allows(*outcome))
}

/// The accepted outcomes on a kind of kernel, such as `harmed (with --no-guard: vm-died)`.
pub fn outcomes(case: Case, kind: KernelKind) -> String {
    let of = |vmm| any_of(&case.expected(kind, vmm));
    let expected = of(Vmm::Guarded);
    let otherwise: Vec<String> = [
        (Vmm::Unguarded, "--no-guard"),
        (Vmm::OneRegion, "--qemu series"),
    ]
    .into_iter()
    .filter(|(vmm, _)| of(*vmm) != expected)
    .map(|(vmm, option)| format!("with {option}: {}", of(vmm)))
    .collect();
    match otherwise.is_empty() {
        true => expected,
        false => format!("{expected} ({})", otherwise.join("; ")),
    }
}

/// Joins outcomes, such as `harmed, vm-died or proceeded`.
fn any_of(outcomes: &[Outcome]) -> String {
    let names: Vec<&str> = outcomes.iter().map(|outcome| outcome.name()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The reason for the expectation on a kind of kernel.
pub fn reason(case: Case, kind: KernelKind) -> String {
    if !must_pass(case, kind)
        && let Some(finding) = case.finding(kind)
    {
        return format!(
            "a bug that is known, {finding} in {FINDINGS}: {}",
            case.source()
        );
    }
    if case.contract() == Contract::KnownLimit || !must_pass(case, kind) && case.pin().is_none() {
        return format!("known to go wrong: {}", case.source());
    }
    if case.contract() != Contract::MustWait {
        let same = "kinds of kernels differ in waiting only, and nothing has to wait here";
        return same.to_owned();
    }
    match (kind, case.pin().map(Pin::reference)) {
        _ if expected(case, kind) == expected(case, KernelKind::Stock)
            && kind != KernelKind::Stock =>
        {
            "as stock"
        }
        (KernelKind::Stock, _) => "Linux waits until nothing refers to the page any more",
        (KernelKind::Newer, _) => "Linux waits for the page, whether it is still mapped or not",
        (KernelKind::NoBioWake, _) => "the end of direct I/O wakes nobody there: a bug",
        (KernelKind::Seed, Some(Reference::Pin)) => "it waits for what FOLL_PIN has counted",
        (KernelKind::Seed, _) => {
            return format!("it waits for FOLL_PIN only: {}", slip(case, kind));
        }
        (KernelKind::Fixed, _) => "its bugs are fixed",
        (KernelKind::NoWait, _) => return format!("it never waits: {}", slip(case, kind)),
        (KernelKind::NoWake, _) => "it never wakes who waits; made to show that the lab notices",
    }
    .to_owned()
}

/// The consequence of a removal that does not wait.
fn slip(case: Case, kind: KernelKind) -> &'static str {
    match expected(case, kind).as_slice() {
        [Outcome::VmDied, Outcome::Proceeded] => {
            "QEMU aborts where a transfer is the last to let go of a range that is gone; else no \
             byte is lost"
        }
        [Outcome::Harmed] if ends_before(case) => {
            "the host's file ends before the page, and a program that has it reads zeros (without \
             the guard it is SIGBUS, which ends QEMU)"
        }
        [Outcome::Harmed] if case.fs() == FileSystem::Fuse => {
            "whoever has the page has what its range of the window is used for next"
        }
        [Outcome::Harmed] => "whoever has the page has its block's next owner's",
        [Outcome::Complained] => {
            "no byte is lost, for what the page was needed for is over or its memory stays the \
             file's; Linux warns of a page in use that leaves the page cache"
        }
        [Outcome::Proceeded] => {
            "no byte is lost, for what the page was needed for is over or its memory stays the \
             file's"
        }
        _ => "what comes of it depends on who gets the page's memory",
    }
}

/// How long a pin is held, and how that is proven.
pub fn held(pin: Pin) -> &'static str {
    match pin {
        Pin::DioRead | Pin::AioRead | Pin::UringRead => {
            "until the disk, an NBD server in daxlab, replies. Proven by the request: the disk has \
             it, of the page's length, and delays the reply"
        }
        Pin::DioWrite | Pin::AioWrite | Pin::UringWrite => {
            "until the disk, an NBD server in daxlab, replies. Proven by the request: the disk has \
             it with the page's bytes, and delays the reply"
        }
        Pin::FuseDioRead => {
            "until the file, of a FUSE server in daxlab, is answered to the share's daemon. Proven by the request: the server has it, of the page's length, and delays \
             the reply"
        }
        Pin::FuseDioWrite => {
            "until the file, of a FUSE server in daxlab, is answered to the share's daemon. Proven by the request: the server has it with the page's bytes, and delays \
             the reply"
        }
        Pin::Vmsplice => {
            "until the pipe is drained. Proven by the bytes that the kernel says are in the pipe"
        }
        Pin::ZeroCopy => {
            "until the peer reads. Proven by the bytes that the kernel says are queued and not acknowledged"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dax_cases::cases;

    fn named(name: &str) -> Case {
        let mut all = cases::all().into_iter();
        all.find(|case| case.name() == name).expect("a case's name")
    }

    #[test]
    fn who_must_pass_is_what_the_table_says() {
        let passing = |name| {
            let case = named(name);
            KINDS.map(|kind| must_pass(case, kind))
        };
        let pin = passing("matrix::ext4::dio-read::punch");
        assert_eq!(pin, [true, true, false, true, false, false]);
        let get = passing("matrix::fuse::vmsplice::truncate");
        assert_eq!(get, [true, true, true, false, false, false]);
        assert_eq!(passing("matrix::xfs::vmsplice::unlink"), [true; 6]);
        assert_eq!(
            passing("munmap-hides-pin::xfs"),
            [false, true, false, false, false, false]
        );
    }

    #[test]
    fn outcomes_are_a_phrase() {
        let case = named("matrix::fuse::vmsplice::truncate");
        assert_eq!(outcomes(case, KernelKind::Stock), "waited");
        let both = outcomes(case, KernelKind::Seed);
        assert_eq!(both, "harmed (with --no-guard: vm-died)");
        let several = outcomes(named("stale-range::fuse"), KernelKind::Stock);
        assert!(several.contains("waited, panicked, hung or "), "{several}");
    }

    #[test]
    fn each_case_has_a_reason_for_each_kind() {
        for case in cases::all() {
            for kind in KINDS {
                assert!(!reason(case, kind).is_empty(), "{}", case.name());
            }
        }
    }

    /// If a wrong outcome is expected on a kernel that the lab has not modified, a document must
    /// describe it.
    #[test]
    fn a_bug_that_is_expected_is_told_by_its_finding() {
        use KernelKind::{Newer, NoBioWake, Stock};
        for case in cases::all() {
            for kind in [Stock, Newer, NoBioWake] {
                let limit = case.contract() == Contract::KnownLimit;
                if limit || must_pass(case, kind) {
                    continue;
                }
                let why = reason(case, kind);
                let (name, from) = (case.name(), "a bug that is known, ");
                assert!(why.starts_with(from), "{name} on {kind}: {why}");
            }
        }
        let known = reason(named("refault-during-wait::xfs"), KernelKind::Newer);
        assert!(
            known.contains("B in tests/cases/docs/findings.md: fs/dax.c"),
            "{known}"
        );
    }
}
