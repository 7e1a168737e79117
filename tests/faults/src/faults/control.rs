// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM changes the device while mappings are made and removed on all queues.
//!
//! A round makes requests available on every queue, and changes the device at once. How far the
//! daemon has come by then is chance, which no seed reproduces.

use std::env;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::QueueIndex;
use virtiofs_driver::window::{MainLoop, Rules, Told};

use crate::fault::{Fault, Setting};
use crate::model::{FileId, Slot};
use crate::rig::{Flight, Rig, RigOptions};

/// The rounds of a test. The environment variable overrides the number.
const ROUNDS: u64 = 150;
const ROUNDS_VARIABLE: &str = "FAULTS_ROUNDS";
/// Rounds between two full comparisons.
const BETWEEN_LOOKS: u64 = 50;
/// The most requests that a queue gets in a round.
const BATCH: usize = 6;
/// Bytes of memory that is plugged.
const DIMM: usize = 2 << 20;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::long("control::queues_are_stopped", |setting| {
        rounds(setting, &options(), &[Event::StopQueue, Event::Enable])
    }),
    Fault::long("control::the_device_is_stopped", |setting| {
        rounds(setting, &options(), &[Event::Pause])
    }),
    Fault::long("control::the_device_is_reset", |setting| {
        rounds(setting, &options(), &[Event::Reset])
    }),
    Fault::long("control::memory_changes", |setting| {
        rounds(setting, &options(), &[Event::Memory, Event::Table])
    }),
    Fault::long("control::all_of_it", |setting| {
        rounds(setting, &options(), Event::ALL)
    }),
    Fault::long("control::all_of_it_with_one_queue", |setting| {
        let queues = 1;
        let options = RigOptions {
            queues,
            ..options()
        };
        rounds(setting, &options, Event::ALL)
    }),
    Fault::long("control::all_of_it_with_a_pool", |setting| {
        let options = options().arg("--thread-pool-size=3");
        rounds(setting, &options, Event::ALL)
    }),
    Fault::long("control::all_of_it_with_a_separate_channel", |setting| {
        let rules = Rules {
            main_loop: MainLoop::Separate,
            told: Told::Nothing,
            ..Rules::strict()
        };
        let options = RigOptions { rules, ..options() };
        rounds(setting, &options, Event::ALL)
    }),
];

/// Events of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// GET_VRING_BASE of one queue, which is then started again.
    StopQueue,
    /// SET_VRING_ENABLE of one queue, off and on.
    Enable,
    /// The VM is paused and resumed.
    Pause,
    /// The guest is reset and mounts again.
    Reset,
    /// Memory is plugged and unplugged.
    Memory,
    /// SET_MEM_TABLE.
    Table,
}

impl Event {
    /// All events.
    pub const ALL: &[Self] = &[
        Self::StopQueue,
        Self::Enable,
        Self::Pause,
        Self::Reset,
        Self::Memory,
        Self::Table,
    ];
}

fn options() -> RigOptions {
    RigOptions {
        queues: 3,
        mem_slots: true,
        ..RigOptions::default()
    }
}

fn rounds(setting: &Setting, options: &RigOptions, events: &[Event]) -> Result<()> {
    let number = match env::var(ROUNDS_VARIABLE) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{ROUNDS_VARIABLE}={text} is no number"))?,
        Err(_) => ROUNDS,
    };
    let mut rig = Rig::start(setting, options)?;
    for queue in 0..rig.clients.len() {
        rig.create(queue, 100_000)?;
    }
    let mut overlapped = 0;
    for round in 1..=number {
        let event = *rig.rng.choice(events).context("an event")?;
        let calls = play(&mut rig, event);
        overlapped += calls.with_context(|| format!("{event:?} in round {round}"))?;
        if round % BETWEEN_LOOKS == 0 {
            rig.verify()
                .with_context(|| format!("after round {round}"))?;
        }
    }
    println!("{number} rounds, {overlapped} calls served after an event had begun");
    ensure!(overlapped > 0, "nothing was under way at any event");
    rig.finish()
}

/// Plays one round; returns how many calls the VMM served after the event had begun.
pub fn play(rig: &mut Rig, event: Event) -> Result<u64> {
    let flights = take_off(rig)?;
    let begun = calls(rig);
    if event == Event::Reset {
        // The requests get no answer, and the mappings are gone.
        rig.reset()?;
        return Ok(calls(rig) - begun);
    }
    rig.watch
        .step(format!("{event:?} under {} requests", flights.len()));
    let queue = QueueIndex::request(rig.rng.usize(0..rig.clients.len()));
    match event {
        Event::StopQueue => {
            rig.vm.stop_queue(queue)?;
            rig.vm.start_queue(queue)?;
        }
        Event::Enable => {
            rig.vm.enable_queue(queue, false)?;
            rig.vm.enable_queue(queue, true)?;
        }
        Event::Pause => rig.pause()?,
        Event::Memory => {
            let (id, _) = rig.vm.add_memory(DIMM)?;
            rig.vm.remove_memory(id)?;
        }
        Event::Table => rig.vm.set_memory_table()?,
        Event::Reset => {}
    }
    let landed = rig.land(&flights)?;
    let overlapped = calls(rig) - begun;
    for landed in landed {
        let slot = landed.slot;
        ensure!(landed.result.is_ok(), "{landed:?}");
        if rig.shown.0.contains_key(&slot) {
            rig.load_some(slot)?;
        }
    }
    Ok(overlapped)
}

fn calls(rig: &Rig) -> u64 {
    let stats = rig.window.stats();
    stats.maps + stats.unmaps
}

/// Starts mappings and removals on all queues. Each slot belongs to one queue, and has at most one
/// request.
fn take_off(rig: &mut Rig) -> Result<Vec<Flight>> {
    let files: Vec<FileId> = rig.files.ids();
    let queues = rig.clients.len() as u64;
    let mut flights = Vec::new();
    for queue in 0..rig.clients.len() {
        let mut slots: Vec<_> = (0..rig.slots / queues)
            .map(|number| Slot(number * queues + queue as u64))
            .collect();
        rig.rng.shuffle(&mut slots);
        slots.truncate(rig.rng.usize(1..=BATCH));
        for slot in slots {
            let flight = if rig.shown.0.contains_key(&slot) {
                rig.begin_unmap(queue, slot)?
            } else {
                let file = files[rig.rng.usize(0..files.len())];
                rig.begin_map(queue, file, 0, slot)?
            };
            flights.push(flight);
        }
    }
    Ok(flights)
}
