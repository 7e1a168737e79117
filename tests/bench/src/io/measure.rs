// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All work on all sides.

use virtiofs_driver::{Client, Options, Pipeline, QueueIndex, Waiting, WindowOption};

use super::{
    Work,
    buffers::Buffers,
    lane::{DEPTH, Lane},
    scene::Scene,
    step::Wrong,
    turn::turn,
};
use crate::{
    BenchError, Plan,
    files::Files,
    model::{Point, Side, Suite},
    sides::{Pin, Program, Running, SideError},
    turns::in_turn,
};

/// How many requests are under way on each queue.
const DEPTHS: [u32; 2] = [1, 32];
/// Guest memory of a VM: buffers for every slot of two queues, with room to spare.
const MEMORY_PER_QUEUE: usize = 48 << 20;

/// A daemon, and a lane for each of its request queues.
struct Contender {
    lanes: Vec<Lane>,
    running: Running,
}

/// Measures what the plan wants; sides are added to `sides`.
///
/// # Errors
///
/// The first thing that can't be measured.
pub fn measure(plan: &Plan<'_>, sides: &mut Vec<Side>) -> Result<Vec<Point>, BenchError> {
    let works = Work::ALL
        .into_iter()
        .flat_map(|work| DEPTHS.map(|depth| (work, depth)));
    let wanted: Vec<(Work, u32)> = works
        .filter(|(work, depth)| (plan.wants)(Suite::Io, &name(*work, *depth)))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let files = Files::below(plan.place)?;
    files.for_requests()?;
    let mut contenders = contenders(plan, &files)?;
    sides.extend(contenders.iter().map(Contender::side));
    let one = |(work, depth)| point(plan, &mut contenders, work, depth);
    wanted.into_iter().map(one).collect()
}

fn name(work: Work, depth: u32) -> String {
    format!("{work}/{depth}")
}

fn point(
    plan: &Plan<'_>,
    contenders: &mut [Contender],
    work: Work,
    depth: u32,
) -> Result<Point, BenchError> {
    let name = name(work, depth);
    (plan.progress)(&format!("io {name}"));
    for contender in &*contenders {
        contender.running.keep(contender.pin(plan, depth))?;
    }
    let [series] = in_turn(
        plan.length,
        contenders,
        |contender| contender.running.name.clone(),
        |contender, length| {
            plan.go_on()?;
            let pin = contender.pin(plan, depth);
            let Contender { lanes, running } = contender;
            let turn = turn(lanes, (&running.family, pin), work, depth, length);
            turn.map(|turn| [turn])
                .map_err(|wrong| told(wrong, &running.name, &name))
        },
    )?;
    let about = format!("{}, {depth} at a time on each queue", work.about());
    let reference = plan.reference();
    let mut point = Point::new(Suite::Io, &name, about, &reference, series);
    let ours = plan.daemon.name.as_str();
    if reference != ours {
        for (measure, bound) in work.aims(depth) {
            point.aim(measure, ours, &reference, bound);
        }
    }
    Ok(point)
}

fn told(wrong: Wrong, side: &str, work: &str) -> BenchError {
    let (side, work) = (side.to_owned(), work.to_owned());
    match wrong {
        Wrong::Failed(source) => BenchError::Request { side, work, source },
        Wrong::Says(what) => BenchError::Reply { side, work, what },
    }
}

/// The daemon with each number of queues, and the peer with as many as it can have.
fn contenders(plan: &Plan<'_>, files: &Files) -> Result<Vec<Contender>, BenchError> {
    let mut all = Vec::new();
    for queues in plan.queues {
        all.push(Contender::start(plan, plan.daemon, *queues, files)?);
    }
    if let Some(peer) = plan.peer {
        all.push(Contender::start(plan, peer, 1, files)?);
        if peer.queues {
            for queues in plan.queues.iter().filter(|queues| **queues > 1) {
                all.push(Contender::start(plan, peer, *queues, files)?);
            }
        }
    }
    Ok(all)
}

impl Contender {
    fn start(
        plan: &Plan<'_>,
        program: &Program,
        queues: u8,
        files: &Files,
    ) -> Result<Self, BenchError> {
        let name = side_name(program, queues);
        let options = Options {
            request_queues: queues.into(),
            memory: MEMORY_PER_QUEUE * usize::from(queues),
            window: WindowOption::IfOffered(virtiofs_driver::Rules::qemu()),
            ..Running::options()
        };
        let more = match program.queues {
            true => vec![format!("--request-queues={queues}")],
            false => Vec::new(),
        };
        let mut running = Running::start(&name, program, files.root(), &more, &options)?;
        let client = running.mount()?;
        let lanes = lanes(&mut running, client, queues.into(), plan.waiting)?;
        Ok(Self { lanes, running })
    }

    /// Where it runs: several queues are to have all processors.
    fn pin(&self, plan: &Plan<'_>, depth: u32) -> Pin {
        match self.lanes.len() {
            1 => plan.pin.at_depth(depth),
            _ => Pin::No,
        }
    }

    fn side(&self) -> Side {
        let queues = self.lanes.len();
        let plural = if queues == 1 { "" } else { "s" };
        self.running
            .side(&format!("{queues} request queue{plural}"))
    }
}

/// `daxd`, and `daxd-2q` with two queues.
fn side_name(program: &Program, queues: u8) -> String {
    match queues {
        1 => program.name.clone(),
        queues => format!("{}-{queues}q", program.name),
    }
}

fn lanes(
    running: &mut Running,
    mut client: Client,
    queues: u32,
    waiting: Waiting,
) -> Result<Vec<Lane>, BenchError> {
    let side = running.name.clone();
    let refused = |source| SideError::Mount {
        side: side.clone(),
        source,
    };
    let scene = Scene::set(&mut client).map_err(refused)?;
    // The client's own pipeline is as good as any.
    let mut pipelines = vec![client.into_pipeline()];
    for queue in 1..queues as usize {
        let index = QueueIndex::request(queue);
        pipelines.push(Pipeline::new(&mut running.vm, index, DEPTH).map_err(refused)?);
    }
    let lane = |(number, mut pipeline): (u32, Pipeline)| {
        pipeline.set_waiting(waiting);
        let buffers = Buffers::new(&running.vm, DEPTH).map_err(|source| SideError::Memory {
            side: side.clone(),
            source,
        })?;
        Ok(Lane::new(
            pipeline,
            buffers,
            scene.clone(),
            (number, queues),
        ))
    };
    (0..).zip(pipelines).map(lane).collect()
}
