// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: programs, measurements, reports.

use std::{fs, io::Write, time::SystemTime};

use anyhow::{Context as _, Result, ensure};
use dax_bench::{
    Plan,
    files::file_system,
    io, map,
    model::{Host, Point, Run, SCHEMA, Settings, Side, Suite},
    report::{table, write_all},
    sides::Program,
    window,
};
use guest_vm::Programs;
use lab_report::model::utc;
use qemu_guest::fetch::{Cache, Progress, virtiofsd};
use virtiofs_driver::Waiting;

use super::{
    BenchArgs,
    args::{Peer, Wait, What},
};
use crate::{catalogue::NoCase, cli::Status};

/// Measures what the options name.
///
/// # Errors
///
/// If something can't be measured.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<Status> {
    // Before minutes of work, not after.
    fs::create_dir_all(&args.out).with_context(|| format!("can't use {}", args.out.display()))?;
    let daemon = match &args.daemon {
        Some(path) => path.clone(),
        None => Programs::daemon()?,
    };
    let daemon = Program::at(&daemon, "daxd")?;
    let peer = peer(&args.peer)?;
    let mut run = begin(args);
    let wants = |suite: Suite, name: &str| args.what.has(suite) && args.wants(name);
    let plan = Plan {
        daemon: &daemon,
        peer: peer.as_ref(),
        queues: &args.queues,
        length: args.length(),
        quick: args.quick,
        place: &args.share,
        waiting: match args.wait {
            Wait::Interrupt => Waiting::Interrupt,
            Wait::Poll => Waiting::Poll,
        },
        pin: args.pin.into(),
        wants: &wants,
        progress: &|what| eprintln!("daxlab bench: {what}"),
    };
    run.points = measure(&plan, &mut run.sides)?;
    ensure!(!run.points.is_empty(), NoCase);
    write_all(&run, &args.out)?;
    lab_report::put(&table(&run), out)?;
    Ok(Status::Success)
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

/// A run without a point yet.
fn begin(args: &BenchArgs) -> Run {
    let length = args.length();
    Run {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: utc(SystemTime::now()),
        command: std::env::args().collect(),
        host: Host::here(file_system(&args.share)),
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
