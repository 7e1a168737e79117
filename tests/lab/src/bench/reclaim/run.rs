// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: guests, measurements, reports.

use std::{
    io::Write,
    time::{Instant, SystemTime},
};

use anyhow::{Result, ensure};
use dax_bench::{files::file_system, model::Host};
use dax_reclaim::{
    host::{Ended, Field, MEMORY, Watch, measure},
    model::{Run, SCHEMA, Settings},
    plan::{Point, points},
};
use lab_report::model::utc;

use super::{ReclaimArgs, guests};
use crate::{
    bench::{
        NoPoint,
        reports::{self, Measured, Places},
    },
    cli::Status,
};

/// What points are called.
const NAMES: &str = "read-seq-warm/2x, load-seq-cold/0.5x and read-seq-warm/2x/4t";

/// Measures what the options name, and reports it.
///
/// # Errors
///
/// If something can't be measured or written.
pub fn run(args: &ReclaimArgs, out: &mut dyn Write) -> Result<Status> {
    let places = Places {
        from: args.from.as_deref(),
        out: &args.out,
        into: args.into.as_deref(),
    };
    reports::run(&places, || measured(args), out)
}

fn measured(args: &ReclaimArgs) -> Result<Measured<Run>> {
    let window = args.windows()[0].bytes();
    let mut points = points(args.extent(), window);
    points.retain(|point| args.wants(&point.name()));
    if let Some(shard) = args.shard {
        points = shard.of(points);
    }
    ensure!(!points.is_empty(), NoPoint(NAMES));
    reports::until_signal(async |goes_on| {
        let (began, started) = (Instant::now(), utc(SystemTime::now()));
        let kernels = guests::kernels(args)?;
        let host = Host::here(file_system("/dev/shm".as_ref()));
        let working = points
            .iter()
            .map(|point| point.work.files.working)
            .max()
            .unwrap_or(0);
        let field = guests::start(args, &kernels, working, goes_on).await?;
        let mut run = Run {
            schema: SCHEMA,
            lab_version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            took_s: 0,
            command: std::env::args().collect(),
            host,
            guests: guests::about(args.accel, MEMORY, &kernels).await?,
            settings: Settings {
                rounds: args.length().rounds,
                seconds: args.seconds.as_secs_f64(),
                window,
            },
            sides: Vec::new(),
            points: Vec::new(),
        };
        let Some(field) = field else {
            return Ok(None);
        };
        run.sides = guests::sides(&field);
        play(args, field, &points, goes_on, &mut run).await?;
        run.took_s = began.elapsed().as_secs();
        Ok(goes_on().then_some(run))
    })
}

async fn play(
    args: &ReclaimArgs,
    mut field: Field,
    points: &[Point],
    goes_on: &dyn Fn() -> bool,
    run: &mut Run,
) -> Result<()> {
    let began = Instant::now();
    let progress = |done: usize, all: usize, point: &Point| {
        let rest = guests::rest(done, all, began.elapsed());
        eprintln!(
            "daxlab bench reclaim: {} of {all}: {}{rest}",
            done + 1,
            point.name()
        );
    };
    let watch = Watch {
        goes_on,
        progress: &progress,
    };
    let measured = measure(&mut field, points, args.length(), &watch).await?;
    run.points = measured.points;
    if measured.ended == Ended::All {
        guests::end(field).await?;
    }
    Ok(())
}
