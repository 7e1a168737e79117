// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: programs, measurements, reports.

use std::{io::Write, time::Instant};

use anyhow::{Context as _, Result, ensure};
use dax_bench::{
    Plan, io, map,
    model::{Point, Run, SCHEMA, Settings, Side, Suite},
    system::Program,
    window,
};
use dax_measure::Head;
use qemu_guest::artifacts::{Cache, Progress, virtiofsd};
use qemu_guest::vm::Programs;
use virtiofs_driver::Waiting;

use super::{
    BenchArgs,
    args::{InGuests, Peer, Wait, What},
    reports::{self, Measured},
};
use crate::{
    cli::{Status, UsageError},
    signals::Noted,
};

/// Examples of points' names.
const NAMES: &str = "getattr/1, setup-large-qemu/16 and warm";

/// Measures as the options say, and writes the reports.
///
/// # Errors
///
/// If a measurement or a report fails.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<Status> {
    match &args.in_guests {
        Some(InGuests::Reclaim(args)) => return super::reclaim::run(args, out),
        Some(InGuests::Tree(args)) => return super::tree::run(args, out),
        Some(InGuests::Memory(args)) => return super::memory::run(args, out),
        Some(InGuests::Instructions(args)) => return super::instructions::run(args, out),
        None => {}
    }
    reports::run((&args.report, &args.out), || measured(args), out)
}

fn measured(args: &BenchArgs) -> Result<Measured<Run>> {
    let daemon = match &args.daemon {
        Some(path) => path.clone(),
        None => Programs::daemon()?,
    };
    let daemon = Program::at(&daemon, "daxd")?;
    let peer = peer(&args.peer)?;
    let signal = Noted::catch().context("can't catch signals")?;
    let (began, mut run) = (Instant::now(), begin(args));
    let wants = |suite: Suite, name: &str| args.what.has(suite) && args.wants(name);
    let plan = Plan {
        daemon: &daemon,
        peer: peer.as_ref(),
        queues: &args.queues,
        poll: args.poll,
        length: args.length(),
        quick: args.quick,
        place: &args.share,
        waiting: match args.wait {
            Wait::Interrupt => Waiting::Interrupt,
            Wait::Poll => Waiting::Poll,
        },
        affinity: args.pin.into(),
        wants: &wants,
        goes_on: &|| signal.number().is_none(),
        progress: &|what| eprintln!("daxlab bench: {what}"),
    };
    let points = measure(&plan, &mut run.sides);
    if let Some(signal) = signal.number() {
        return Ok(Measured::Signalled(signal));
    }
    run.points = points?;
    run.head.took_s = Some(began.elapsed().as_secs());
    ensure!(
        !run.points.is_empty(),
        UsageError::NoPoint { examples: NAMES }
    );
    Ok(Measured::All(Box::new(run)))
}

fn measure(plan: &Plan<'_>, sides: &mut Vec<Side>) -> Result<Vec<Point>> {
    let mut points = io::measure(plan, sides)?;
    points.extend(map::measure(plan, sides)?);
    points.extend(window::measure(plan, sides)?);
    Ok(points)
}

fn peer(peer: &Peer) -> Result<Option<Program>> {
    Ok(match peer {
        Peer::None => None,
        Peer::Virtiofsd => {
            let cache = Cache::open(Progress::auto())?;
            let built = virtiofsd::obtain(&cache)?;
            Some(Program::at(&built.path, "virtiofsd")?)
        }
        Peer::Program(path) => Some(Program::at(path, "peer")?),
    })
}

/// A run that has no points yet.
fn begin(args: &BenchArgs) -> Run {
    let length = args.length();
    Run {
        head: Head::begin(SCHEMA, &args.share),
        settings: Settings {
            rounds: length.rounds,
            seconds: length.turn.as_secs_f64(),
            lead_in: length.lead_in.as_secs_f64(),
        },
        sides: Vec::new(),
        points: Vec::new(),
    }
}

impl What {
    fn has(self, suite: Suite) -> bool {
        match self {
            Self::Io => suite == Suite::Io,
            Self::Map => suite == Suite::Map,
            Self::Window => suite == Suite::Window,
            Self::All => true,
        }
    }
}
