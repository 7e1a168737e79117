// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A case, as `--format json` writes it.

use std::collections::BTreeMap;

use dax_cases::cases::{Case, KernelKind, Pin, Reference, RemovalKind, Vmm};
use dax_measure::lab::{Contract, Outcome};
use serde::Serialize;

use super::phrases::{KINDS, must_pass};

/// A case of the list.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    case: String,
    /// Its file system.
    fs: &'static str,
    /// What holds the page, in the matrix.
    pin: Option<&'static str>,
    /// How the kernel holds it then.
    reference: Option<&'static str>,
    /// What removes it, in the matrix.
    removal: Option<&'static str>,
    /// A sentence about what happens.
    about: String,
    /// What the kernel owes.
    contract: Contract,
    /// The kinds of kernels that must fulfil the contract.
    must_pass: Vec<String>,
    /// The accepted outcomes on each kind of kernel.
    expected: BTreeMap<String, Vec<Outcome>>,
    /// The accepted outcomes with `--no-guard`.
    expected_without_guard: BTreeMap<String, Vec<Outcome>>,
    /// The accepted outcomes with `--qemu series`.
    expected_with_one_region: BTreeMap<String, Vec<Outcome>>,
    /// Where the expectation comes from.
    source: &'static str,
}

impl Entry {
    /// The entry of a case.
    pub fn of(case: Case) -> Self {
        let kinds = KINDS.into_iter();
        let expected = |vmm| {
            let of_kind = |kind: KernelKind| (kind.to_string(), case.expected(kind, vmm));
            KINDS.into_iter().map(of_kind).collect()
        };
        Self {
            case: case.name(),
            fs: case.fs().name(),
            pin: case.pin().map(Pin::name),
            reference: case.pin().map(Pin::reference).map(Reference::name),
            removal: case.removal().map(RemovalKind::name),
            about: case.about(),
            contract: case.contract(),
            must_pass: kinds
                .filter(|kind| must_pass(case, *kind))
                .map(|kind| kind.to_string())
                .collect(),
            expected: expected(Vmm::Guarded),
            expected_without_guard: expected(Vmm::Unguarded),
            expected_with_one_region: expected(Vmm::OneRegion),
            source: case.source(),
        }
    }
}
