// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One request queue's part of a side: it belongs to one thread while a turn lasts.

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

/// Requests that can be under way in a worker.
pub const DEPTH: usize = 64;
/// How many names are hot.
const HOT: u32 = 8;
/// So many nodes are forgotten at a time: as much as Linux puts into a page or two.
const FORGET: usize = 256;

/// A queue with what is under way on it.
#[derive(Debug)]
pub struct Worker {
    pipeline: Pipeline,
    buffers: Buffers,
    scene: Scene,
    names: Vec<String>,
    /// The worker's part of the names that are looked up cold: first, and how many.
    cold: (u32, u32),
    random: fastrand::Rng,
    /// How many operations were begun: where the sequential ones go on.
    begun: u64,
    forgotten: Vec<ForgetOne>,
    /// By slot, the requests under way.
    under_way: Vec<Option<UnderWay>>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    unique: Unique,
    step: Step,
    began: Instant,
}

/// What a worker did while it was counted.
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

    /// Keeps `depth` operations under way until the end, counts those that end while they count,
    /// and waits for the rest.
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

    /// Notes what a reply came to. An operation may be several requests, of which the last counts.
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

    /// A node that is to be forgotten with the others.
    fn remember(&mut self, NodeId(nodeid): NodeId) {
        let nlookup = 1;
        self.forgotten.push(ForgetOne { nodeid, nlookup });
    }

    /// Begins an operation in a slot, or forgets what has to be forgotten first.
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
        // As Linux does; most kicks are saved by the event index.
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
