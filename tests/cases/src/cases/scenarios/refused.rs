// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Long-term pins, which a DAX file has to refuse.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::pins::UringRegister;

use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::{Observation, RemovalKind, Signs, matrix};
use crate::host::{FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "uring-fixed-refused",
    finding: |_| None,
    about: "io_uring's fixed buffers, registered on a DAX page: FOLL_LONGTERM",
    source: "mm/gup.c: FOLL_LONGTERM of an fsdax mapping is EOPNOTSUPP",
    fs: &FileSystem::ALL,
    contract: Contract::MustRefuse,
    signs: Signs {
        complaints: &[],
        errors: &[libc::EOPNOTSUPP],
    },
    expected: |_, _| vec![Outcome::Refused],
    run: run!(uring_fixed),
}];

async fn uring_fixed(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let register = UringRegister {
        name: "ring".to_owned(),
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        len: fixture.page.len,
    };
    let pending = fixture.pinner.begin(register).await?;
    let done = fixture.pinner.done(&pending).await?;
    if let Err(fault) = &done.outcome {
        seen.step(format_args!("refused: {fault}"));
    }
    seen.returned = Some(done.outcome);
    matrix::close(rig, fixture, seen).await
}
