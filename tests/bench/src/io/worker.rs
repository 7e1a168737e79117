// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One request queue of a side. During a turn it belongs to one thread.

use std::time::{Duration, Instant};

use dax_measure::stats::Latencies;
use fuse_backend_rs::abi::fuse_abi::ForgetOne;
use virtiofs_driver::{FileOffset, NodeId, Pipeline, Unique};

use super::{
    Order, Work,
    fixture::{Buffers, Scene},
    sample::Phase,
    step::{Outcome, Step, Wrong},
};
use crate::files::{DATA_SIZE, NAMES_COUNT};

/// The most requests in flight in a worker.
pub const DEPTH: usize = 64;
/// The number of names that the guest holds.
const HOT: u32 = 8;
/// The number of nodes that are forgotten at a time: as many as Linux puts into a page or two.
const FORGET: usize = 256;

/// A queue and its requests in flight.
#[derive(Debug)]
pub struct Worker {
    pipeline: Pipeline,
    buffers: Buffers,
    scene: Scene,
    names: Vec<String>,
    /// The worker's part of the names for cold look-ups: the first one, and their number.
    cold: (u32, u32),
    random: fastrand::Rng,
    /// The number of operations begun. It determines the next sequential offset.
    begun: u64,
    forgotten: Vec<ForgetOne>,
    /// The requests in flight, by slot.
    under_way: Vec<Option<UnderWay>>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    unique: Unique,
    step: Step,
    began: Instant,
}

/// The counted operations of a worker.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub latencies: Latencies,
    pub bytes: u64,
}

impl Worker {
    /// The worker `number` of `workers`.
    pub fn new(
        pipeline: Pipeline,
        buffers: Buffers,
        scene: Scene,
        (number, workers): (u32, u32),
    ) -> Self {
        let count = NAMES_COUNT / workers;
        Self {
            pipeline,
            buffers,
            scene,
            names: (0..NAMES_COUNT).map(|name| name.to_string()).collect(),
            cold: (number * count, count),
            random: fastrand::Rng::with_seed(u64::from(number)),
            begun: 0,
            forgotten: Vec::with_capacity(FORGET),
            under_way: vec![None; DEPTH],
        }
    }

    /// Keeps `depth` operations in flight until the end, counts those that end during the counted
    /// phase, and waits for the rest.
    pub fn play(&mut self, work: Work, depth: usize, phase: &Phase) -> Result<Done, Wrong> {
        let mut done = Done::default();
        for slot in 0..depth {
            self.begin(slot, work)?;
        }
        while self.pipeline.in_flight() > 0 {
            let mut completion = self.pipeline.complete()?;
            loop {
                let now = Instant::now();
                let slot = self.slot_of(completion.unique)?;
                let UnderWay { step, began, .. } = self.under_way[slot].take().ok_or_else(lost)?;
                let outcome = step.outcome(completion.result)?;
                self.take_note(&outcome, now - began, phase, &mut done);
                match outcome {
                    Outcome::Then(next) => self.submit(slot, next, began)?,
                    _ if !phase.is_over() => self.begin(slot, work)?,
                    _ => {}
                }
                match self.pipeline.poll()? {
                    Some(more) => completion = more,
                    None => break,
                }
            }
        }
        Ok(done)
    }

    /// Records a reply. If an operation has several requests, the last one counts.
    fn take_note(&mut self, outcome: &Outcome, took: Duration, phase: &Phase, done: &mut Done) {
        let bytes = match *outcome {
            Outcome::Then(_) | Outcome::Aside => return,
            Outcome::Done(bytes) => bytes,
            Outcome::Forget(node) => {
                self.remember(node);
                0
            }
        };
        if phase.counts() {
            done.latencies.record(took);
            done.bytes += u64::from(bytes);
            phase.note_counted();
        }
    }

    /// Remembers a node, to forget it together with others.
    fn remember(&mut self, NodeId(nodeid): NodeId) {
        let nlookup = 1;
        self.forgotten.push(ForgetOne { nodeid, nlookup });
    }

    /// Begins an operation in a slot. If enough nodes are remembered, forgets them first.
    fn begin(&mut self, slot: usize, work: Work) -> Result<(), Wrong> {
        let step = match self.forgotten.len() {
            FORGET.. => Step::Forget,
            _ => self.next(work),
        };
        self.submit(slot, step, Instant::now())?;
        if step == Step::Forget {
            self.forgotten.clear();
        }
        Ok(())
    }

    fn submit(&mut self, slot: usize, step: Step, began: Instant) -> Result<(), Wrong> {
        let buffer = |len| self.buffers.span(slot, len);
        let request = step.request(&self.scene, &self.names, &self.forgotten, buffer);
        let unique = self.pipeline.submit(&request)?;
        self.under_way[slot] = Some(UnderWay {
            unique,
            step,
            began,
        });
        // Linux kicks each time, too; the event index saves most kicks.
        Ok(self.pipeline.kick()?)
    }

    fn slot_of(&self, unique: Unique) -> Result<usize, Wrong> {
        let is_it = |one: &Option<UnderWay>| one.is_some_and(|one| one.unique == unique);
        self.under_way.iter().position(is_it).ok_or_else(lost)
    }

    /// The first request of the next operation.
    fn next(&mut self, work: Work) -> Step {
        let number = self.begun;
        self.begun += 1;
        match work {
            Work::GetAttr => Step::GetAttr,
            Work::LookupHot => self.lookup_hot(number),
            Work::LookupCold => {
                let (first, count) = self.cold;
                Step::Lookup {
                    name: first + (number % u64::from(count)) as u32,
                    forget: true,
                }
            }
            Work::OpenRelease => Step::Open,
            Work::ReadDirPlus => Step::List((number % self.scene.cookies.len() as u64) as usize),
            Work::Read(size, order) => Step::Read(self.place(size.bytes(), order), size.bytes()),
            Work::Write(size, order) => Step::Write(self.place(size.bytes(), order), size.bytes()),
            Work::Mixed => self.mixed(number),
        }
    }

    fn lookup_hot(&self, number: u64) -> Step {
        Step::Lookup {
            name: (number % u64::from(HOT)) as u32,
            forget: false,
        }
    }

    fn mixed(&mut self, number: u64) -> Step {
        let len = super::Size::Small.bytes();
        match self.random.u8(..10) {
            0..5 => Step::Read(self.place(len, Order::Random), len),
            5..7 => Step::Write(self.place(len, Order::Random), len),
            7..9 => Step::GetAttr,
            _ => self.lookup_hot(number),
        }
    }

    fn place(&mut self, len: u32, order: Order) -> FileOffset {
        let places = DATA_SIZE / u64::from(len);
        let place = match order {
            Order::Sequential => self.begun % places,
            Order::Random => self.random.u64(..places),
        };
        FileOffset(place * u64::from(len))
    }
}

fn lost() -> Wrong {
    Wrong::Says("a request was returned that was not under way".into())
}
