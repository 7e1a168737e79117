// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench reclaim`: the cost of a window's reclaim, in guests. `dax-bench` measures.

mod args;

use std::{io::Write, time::Instant};

use anyhow::{Context as _, Result, ensure};
use dax_bench::{
    guests::{KernelParts, MEMORY, Watch, about},
    reclaim::{
        Field, Fixture, IN_MEMORY, Side, SystemUnderTest, measure,
        model::{ReclaimRun, SCHEMA, Settings},
        plan::points,
    },
};
use dax_measure::Head;
use qemu_guest::artifacts::virtiofsd;

use super::reports::{self, Measured};
use crate::cli::{Status, UsageError};

pub use args::{ReclaimArgs, window};

/// Examples of points' names.
const NAMES: &str = "read-seq-warm/2x, load-seq-cold/0.5x and read-seq-warm/2x/4t";

/// Measures as the options say, and writes the reports.
///
/// # Errors
///
/// If a measurement or a report fails.
pub fn run(args: &ReclaimArgs, out: &mut dyn Write) -> Result<Status> {
    reports::run((&args.report, &args.out), || measured(args), out)
}

fn measured(args: &ReclaimArgs) -> Result<Measured<ReclaimRun>> {
    let window = args.windows()[0].bytes();
    let mut points = points(args.extent(), window);
    points.retain(|point| args.wants(&point.name()));
    if let Some(shard) = args.shard {
        points = shard.part(points);
    }
    ensure!(!points.is_empty(), UsageError::NoPoint { examples: NAMES });
    reports::until_signal("daxlab bench reclaim", async |watch| {
        let (began, mut head) = (Instant::now(), Head::begin(SCHEMA, IN_MEMORY.as_ref()));
        let kernels = reports::kernels(&args.kernels, &args.qemus, &[])?;
        let working = points.iter().map(|point| point.work.files.working);
        let working = working.max().unwrap_or(0);
        let Some(mut field) = start(args, &kernels, working, watch).await? else {
            return Ok(None);
        };
        let sides = sides(&field);
        let Some(points) = measure(&mut field, &points, args.length(), watch).await? else {
            return Ok(None);
        };
        end(field).await?;
        head.end(began, about(args.accel.into(), MEMORY, &kernels).await?);
        let settings = Settings {
            rounds: args.length().rounds,
            seconds: args.seconds.as_secs_f64(),
            window,
        };
        Ok(Some(ReclaimRun {
            head,
            settings,
            sides,
            points,
        }))
    })
}

/// A side's name on one kernel and QEMU. It contains only the properties in which the guests
/// differ.
fn name(side: &Side, one: &KernelParts, all: &[KernelParts]) -> String {
    let kernel = all.iter().any(|other| other.spec != one.spec);
    let qemu = all.iter().any(|other| other.qemu != one.qemu);
    match (kernel, qemu) {
        (false, false) => side.to_string(),
        (true, false) => format!("{side}@{}", one.spec),
        (false, true) => format!("{side}@{}", one.qemu),
        (true, true) => format!("{side}@{}@{}", one.spec, one.qemu),
    }
}

/// Starts all guests, one after another.
async fn start(
    args: &ReclaimArgs,
    kernels: &[KernelParts],
    working: u64,
    watch: &Watch<'_>,
) -> Result<Option<Field>> {
    let windows = args.windows();
    let largest = windows
        .iter()
        .map(|window| window.bytes())
        .max()
        .unwrap_or(0);
    let fixture = Fixture::make(IN_MEMORY.as_ref(), working, largest)?;
    let cache = &kernels[0].parts.cache;
    let virtiofsd = virtiofsd::obtain(cache).context("no virtiofsd to compare with")?;
    let mut systems = Vec::new();
    let sides: Vec<Side> = args
        .kinds()
        .iter()
        .flat_map(|kind| kind.sides(&windows))
        .collect();
    for side in sides {
        for kernel in kernels {
            if !(watch.goes_on)() {
                return Ok(None);
            }
            let name = name(&side, kernel, kernels);
            (watch.progress)(&format!("starting {name}"));
            let guest = (args.accel.into(), MEMORY);
            let started =
                SystemUnderTest::start(name, side, kernel, &fixture, &virtiofsd.path, guest)
                    .await?;
            systems.push(started);
        }
    }
    Ok(Some(Field {
        systems,
        fixture,
        window: windows[0].bytes(),
    }))
}

/// The sides that are compared.
fn sides(field: &Field) -> Vec<dax_measure::Side> {
    let info = |one: &SystemUnderTest| dax_measure::Side {
        name: one.guest.name.clone(),
        about: one.side.about(),
        command: one.guest.command(),
    };
    field.systems.iter().map(info).collect()
}

/// Shuts all guests down.
async fn end(field: Field) -> Result<()> {
    let mut ends = Vec::new();
    for one in field.systems {
        ends.push(one.end().await);
    }
    ends.into_iter().collect()
}
