// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Measures all kinds of work on all sides.

use anyhow::{Context as _, Result};
use virtiofs_driver::{Client, Options, Pipeline, QueueIndex, Waiting, WindowOption};

use super::{
    Work,
    fixture::{Buffers, Scene},
    sample::sample,
    worker::{DEPTH, Worker},
};
use crate::{
    Plan,
    files::Files,
    model::{Measure, Point, Side, Suite},
    samples::in_turn,
    system::{Affinity, Program, Running},
};

/// The numbers of requests in flight on each queue.
const DEPTHS: [u32; 2] = [1, 32];
/// Guest memory of a VM: buffers for every slot of two queues, with room to spare.
const MEMORY_PER_QUEUE: usize = 48 << 20;

/// What is measured at one point.
struct Case {
    name: String,
    work: Work,
    depth: u32,
    /// The placement of sides with one queue.
    affinity: Affinity,
}

/// A daemon, and a worker for each of its request queues.
struct Configuration {
    workers: Vec<Worker>,
    running: Running,
}

/// Measures the points of the plan, and adds the sides to `sides`.
///
/// # Errors
///
/// The first failure.
pub fn measure(plan: &Plan<'_>, sides: &mut Vec<Side>) -> Result<Vec<Point>> {
    let works = Work::ALL
        .into_iter()
        .flat_map(|work| DEPTHS.map(|depth| (work, depth)));
    let cases = works.flat_map(|(work, depth)| {
        let placements = plan.affinity.all_at_depth(depth).into_iter();
        placements.map(move |(affinity, suffix)| Case {
            name: format!("{work}/{depth}{suffix}"),
            work,
            depth,
            affinity,
        })
    });
    let wanted: Vec<Case> = cases
        .filter(|case| (plan.wants)(Suite::Io, &case.name))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let files = Files::below(plan.place)?;
    files.for_requests()?;
    let mut configurations = configurations(plan, &files)?;
    sides.extend(configurations.iter().map(Configuration::side));
    let one = |case| point(plan, &mut configurations, case);
    wanted.iter().map(one).collect()
}

fn point(plan: &Plan<'_>, configurations: &mut [Configuration], case: &Case) -> Result<Point> {
    let Case {
        name,
        work,
        depth,
        affinity,
    } = case;
    let (work, depth, affinity) = (*work, *depth, *affinity);
    (plan.progress)(&format!("io {name}"));
    for configuration in &*configurations {
        configuration
            .running
            .keep(configuration.affinity(affinity))?;
    }
    let [series] = in_turn(
        plan.length,
        configurations,
        |configuration| configuration.running.name.clone(),
        |configuration, length| {
            plan.go_on()?;
            let affinity = configuration.affinity(affinity);
            let Configuration { workers, running } = configuration;
            let sample = sample(workers, (&running.processes, affinity), work, depth, length);
            sample
                .map(|sample| [sample])
                .with_context(|| format!("{}: {name}", running.name))
        },
    )?;
    let placed = match affinity {
        Affinity::Together => ", daemon and driver on one processor",
        _ => "",
    };
    let about = format!("{}, {depth} at a time on each queue{placed}", work.about());
    let reference = plan.reference();
    let mut point = Point::new(Suite::Io, name, about, &reference, series);
    let ours = plan.daemon.name.as_str();
    if reference != ours {
        for (measure, bound) in work.aims(depth) {
            point.aim(measure, ours, &reference, bound);
        }
        if let Some(bound) = work.aim_of_polling(depth, affinity) {
            point.aim(Measure::Rate, &polling_name(plan.daemon), &reference, bound);
        }
    }
    Ok(point)
}

/// The daemon with each number of queues, and the peer with its own number.
fn configurations(plan: &Plan<'_>, files: &Files) -> Result<Vec<Configuration>> {
    let mut all = Vec::new();
    let mut start = |program, queues, poll| {
        all.push(Configuration::start(plan, (program, queues, poll), files)?);
        anyhow::Ok(())
    };
    for queues in plan.queues {
        start(plan.daemon, *queues, None)?;
    }
    if plan.poll.is_some() {
        start(plan.daemon, 1, plan.poll)?;
    }
    if let Some(peer) = plan.peer {
        start(peer, 1, None)?;
        if peer.queues {
            for queues in plan.queues.iter().filter(|queues| **queues > 1) {
                start(peer, *queues, None)?;
            }
        }
    }
    Ok(all)
}

impl Configuration {
    fn start(
        plan: &Plan<'_>,
        (program, queues, poll): (&Program, u8, Option<u16>),
        files: &Files,
    ) -> Result<Self> {
        let name = match poll {
            Some(_) => polling_name(program),
            None => side_name(program, queues),
        };
        let options = Options {
            request_queues: queues.into(),
            memory: MEMORY_PER_QUEUE * usize::from(queues),
            window: WindowOption::IfOffered(virtiofs_driver::Rules::qemu()),
            ..Running::options()
        };
        let mut more = match program.queues {
            true => vec![format!("--request-queues={queues}")],
            false => Vec::new(),
        };
        more.extend(poll.map(|poll| format!("--poll={poll}")));
        let mut running = Running::start(&name, program, files.root(), &more, &options)?;
        let client = running.mount()?;
        let workers = workers(&mut running, client, queues.into(), plan.waiting)?;
        Ok(Self { workers, running })
    }

    /// The placement: sides with several queues may use all processors.
    fn affinity(&self, of_one_queue: Affinity) -> Affinity {
        match self.workers.len() {
            1 => of_one_queue,
            _ => Affinity::No,
        }
    }

    fn side(&self) -> Side {
        let queues = self.workers.len();
        let plural = if queues == 1 { "" } else { "s" };
        self.running
            .side(&format!("{queues} request queue{plural}"))
    }
}

/// The name of the side that watches its queue.
fn polling_name(program: &Program) -> String {
    format!("{}-poll", program.name)
}

/// `daxd`, and `daxd-2q` with two queues.
fn side_name(program: &Program, queues: u8) -> String {
    match queues {
        1 => program.name.clone(),
        queues => format!("{}-{queues}q", program.name),
    }
}

fn workers(
    running: &mut Running,
    mut client: Client,
    queues: u32,
    waiting: Waiting,
) -> Result<Vec<Worker>> {
    let side = running.name.clone();
    let mount = || format!("{side} can't be mounted");
    let scene = Scene::set(&mut client).with_context(mount)?;
    // The client's own pipeline serves as the first worker's.
    let mut pipelines = vec![client.into_pipeline()];
    for queue in 1..queues as usize {
        let index = QueueIndex::request(queue);
        pipelines.push(Pipeline::new(&mut running.vm, index, DEPTH).with_context(mount)?);
    }
    let worker = |(number, mut pipeline): (u32, Pipeline)| {
        pipeline.set_waiting(waiting);
        let buffers = Buffers::new(&running.vm, DEPTH);
        let buffers =
            buffers.with_context(|| format!("{side}: there is no memory for its guest"))?;
        Ok(Worker::new(
            pipeline,
            buffers,
            scene.clone(),
            (number, queues),
        ))
    };
    (0..).zip(pipelines).map(worker).collect()
}
