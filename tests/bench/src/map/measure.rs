// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Measures all cases on all sides.

use std::fs::OpenOptions;

use anyhow::Result;
use dax_measure::{Bound, Target, stats::Estimate};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Case, Limit, Manners,
    case::MOST,
    guest::{FILES, Guest},
    sample::MapSide,
};
use crate::{
    Plan,
    files::{Files, RANGE, SPARSE},
    model::{Fact, Measure, Point, Side, Suite},
    samples::in_turn,
    system::Affinity,
};

/// The numbers of live mappings.
const LIVE: [u32; 4] = [1, 16, 256, MOST];
/// The numbers of live mappings in a short run.
const LIVE_QUICK: [u32; 3] = [1, 16, 64];
/// The names of the two points of a case.
const VERBS: [&str; 2] = ["setup", "remove"];
/// How much slower a mapping may be beside 4096 live ones than beside 16.
const FLAT: Bound = Bound::AtMost(1.1);
/// The most memory of the daemon for a mapping, in KiB.
const MEMORY: Bound = Bound::AtMost(8.0);

/// Measures the points of the plan, and adds the sides to `sides`.
///
/// # Errors
///
/// The first failure.
pub fn measure(plan: &Plan<'_>, sides: &mut Vec<Side>) -> Result<Vec<Point>> {
    let wanted = |case: &Case| {
        let mut verbs = VERBS.iter();
        verbs.any(|verb| (plan.wants)(Suite::Map, &case.name(verb)))
    };
    let of = |&manners: &Manners| (manners, Case::all(manners).filter(wanted).collect());
    let mut cases: Vec<(Manners, Vec<Case>)> = Manners::ALL.iter().map(of).collect();
    cases.retain(|(_, cases)| !cases.is_empty());
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    raise_descriptor_limit();
    let files = Files::below(plan.place)?;
    files.for_mappings(FILES)?;
    let mut points = Vec::new();
    for (manners, cases) in cases {
        let mut taking_part = taking_part(plan, &files, manners)?;
        if points.is_empty() {
            sides.extend(taking_part.iter().map(MapSide::side));
        }
        for case in cases {
            points.extend(pair(plan, &mut taking_part, case)?);
        }
    }
    points.retain(|point| (plan.wants)(Suite::Map, &point.name));
    Ok(points)
}

/// The daemons without mappings, and the limit.
fn taking_part(plan: &Plan<'_>, files: &Files, manners: Manners) -> Result<Vec<MapSide>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(files.root().join(SPARSE));
    let limit = Limit::start(file?, FILES, RANGE)?;
    let live = if plan.quick { &LIVE_QUICK[..] } else { &LIVE };
    let affinity = plan.affinity.at_depth(1);
    let mut all = Vec::new();
    for live in live {
        // This thread starts the VMM's threads, which inherit its processors.
        let _pinned = affinity.driver();
        all.push(MapSide::Guest(Box::new(Guest::start(
            plan, files, manners, *live,
        )?)));
    }
    all.push(MapSide::Limit(limit));
    for side in &all {
        side.keep(affinity)?;
    }
    Ok(all)
}

/// Measures both points of a case.
fn pair(plan: &Plan<'_>, all: &mut [MapSide], case: Case) -> Result<[Point; 2]> {
    (plan.progress)(&format!("map {}", case.name("setup")));
    let affinity = plan.affinity.at_depth(1);
    let mut memory = Vec::new();
    for side in &mut *all {
        if let MapSide::Guest(guest) = side {
            guest.fill(case.kind)?;
            memory.push((guest.running.name.clone(), guest.kib_a_mapping()));
        }
    }
    let turn = |side: &mut MapSide, length| {
        plan.go_on()?;
        side.sample(case, affinity, length)
    };
    let aspects = in_turn(plan.length, all, MapSide::name, turn)?;
    for side in &mut *all {
        if let MapSide::Guest(guest) = side {
            guest.clear(case.kind)?;
        }
    }
    let [set_up, remove] = aspects;
    let point = |series, verb| {
        let (name, about) = (case.name(verb), case.about(verb));
        let mut point = Point::new(Suite::Map, name, about, "limit", series);
        judge(&mut point, case);
        point
    };
    let mut points = [point(set_up, VERBS[0]), point(remove, VERBS[1])];
    note_memory(&mut points[0], &memory);
    Ok(points)
}

fn judge(point: &mut Point, case: Case) {
    let of_the_limit = Bound::AtMost(case.manners.of_the_limit());
    let most = format!("live-{MOST}");
    point.aim(Measure::Median, "live-16", "limit", of_the_limit);
    point.aim(Measure::Median, &most, "live-16", FLAT);
}

fn note_memory(point: &mut Point, memory: &[(String, f64)]) {
    for (side, kib) in memory {
        if let Some(series) = point.series.iter_mut().find(|series| series.side == *side) {
            series.facts.push(Fact {
                name: "daemon memory".into(),
                value: *kib,
                unit: "KiB a live mapping".into(),
            });
        }
    }
    // With few mappings the growth shows pages, not mappings.
    if let Some((side, kib)) = memory
        .iter()
        .find(|(side, _)| *side == format!("live-{MOST}"))
    {
        let found = Estimate::exact(*kib);
        point.aims.push(Target::new(
            side,
            "daemon memory, KiB a mapping",
            MEMORY,
            found,
        ));
    }
}

impl MapSide {
    fn keep(&self, affinity: Affinity) -> Result<()> {
        match self {
            Self::Guest(guest) => guest.running.keep(affinity),
            Self::Limit(limit) => {
                let kept = affinity.daemon(limit.process());
                Ok(kept?)
            }
        }
    }

    fn side(&self) -> Side {
        match self {
            Self::Guest(guest) => guest.running.side(&format!("{} live mappings", guest.live)),
            Self::Limit(_) => Side {
                name: "limit".into(),
                about: "an AF_UNIX round trip with a descriptor, and mmap or munmap in the peer"
                    .into(),
                command: Vec::new(),
            },
        }
    }
}

/// Raises the limit of descriptors, because the VMM keeps each mapping's file open. If that fails,
/// the mapping that then fails reports the consequence.
fn raise_descriptor_limit() {
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: now.maximum,
        ..now
    };
    let _ = setrlimit(Resource::Nofile, most);
}
