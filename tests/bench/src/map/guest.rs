// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that makes mappings.

use anyhow::{Context as _, Result};
use virtiofs_driver::{
    Body, Client, FileOffset, FuseError, NodeId, Options, Request, WindowOffset, WindowOption,
};

use super::{
    Case,
    case::{BATCH, Kind, MOST, Manners},
};
use crate::{
    Plan,
    files::{Files, RANGE, SMALL, SPARSE},
    system::Running,
};

/// The small files that are mapped in turn: far more than the daemon keeps open.
const IN_TURN: u32 = 512;
/// The ranges of the large file, and the number of small files: for the live mappings and the
/// measured ones.
pub const FILES: u32 = MOST + IN_TURN;
/// Room for all live mappings and the measured ones.
const WINDOW: &str = "--dax-window=16G";
/// Guest memory: requests only.
const MEMORY: usize = 32 << 20;

/// A daemon with a number of live mappings.
#[derive(Debug)]
pub struct Guest {
    client: Client,
    large: NodeId,
    small: Vec<NodeId>,
    pub live: u32,
    chosen: Vec<Place>,
    next: u32,
    /// The daemon's memory before anything was mapped, in bytes.
    empty: u64,
    pub running: Running,
}

/// A mapping: its file and its place.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: NodeId,
    from: FileOffset,
    at: WindowOffset,
}

impl Guest {
    /// Starts a daemon without any mapping.
    pub fn start(plan: &Plan<'_>, files: &Files, manners: Manners, live: u32) -> Result<Self> {
        let options = Options {
            memory: MEMORY,
            window: WindowOption::Required(manners.rules()),
            ..Running::options()
        };
        // QEMU's limit of regions is far below the measured numbers.
        let more = ["--dax=always", "--fault=budget=none", WINDOW];
        let more = more.iter().chain(manners.arguments());
        let more: Vec<_> = more.map(|one| (*one).to_owned()).collect();
        let name = format!("live-{live}");
        let mut running = Running::start(&name, plan.daemon, files.root(), &more, &options)?;
        let mut client = running.mount()?;
        let looked_up = Self::look_up(&mut client);
        let (large, small) = looked_up.with_context(|| format!("{name}: looking files up"))?;
        Ok(Self {
            client,
            large,
            small,
            live,
            chosen: Vec::new(),
            next: 0,
            empty: running.daemon.usage().pss(),
            running,
        })
    }

    fn look_up(client: &mut Client) -> Result<(NodeId, Vec<NodeId>), FuseError> {
        let large = NodeId(client.lookup(NodeId::ROOT, SPARSE)?.nodeid);
        let folder = NodeId(client.lookup(NodeId::ROOT, SMALL)?.nodeid);
        let mut one = |name: u32| Ok(NodeId(client.lookup(folder, &name.to_string())?.nodeid));
        let small: Result<Vec<NodeId>, FuseError> = (0..FILES).map(&mut one).collect();
        Ok((large, small?))
    }

    /// Makes the live mappings.
    pub fn fill(&mut self, kind: Kind) -> Result<()> {
        let done = self.each_live(kind, Self::set_up_all);
        done.with_context(|| format!("{}: SETUPMAPPING", self.running.name))
    }

    /// Removes the live mappings.
    pub fn clear(&mut self, kind: Kind) -> Result<()> {
        let done = self.each_live(kind, Self::remove_all);
        done.with_context(|| format!("{}: REMOVEMAPPING", self.running.name))
    }

    /// The growth of the daemon's memory since it had no mapping, in KiB for each live mapping.
    pub fn kib_a_mapping(&self) -> f64 {
        let now = self.running.daemon.usage().pss();
        now.saturating_sub(self.empty) as f64 / 1024.0 / f64::from(self.live)
    }

    fn each_live(
        &mut self,
        kind: Kind,
        mut what: impl FnMut(&mut Self, &[Place]) -> Result<(), FuseError>,
    ) -> Result<(), FuseError> {
        let all: Vec<Place> = (0..self.live)
            .map(|number| self.place(kind, number, number))
            .collect();
        all.chunks(BATCH as usize)
            .try_for_each(|some| what(self, some))
    }

    /// Chooses the next mappings to measure, beside the live ones.
    pub fn ready(&mut self, case: Case) {
        let places = (0..case.batch).map(|number| {
            let file = MOST + (self.next + number) % IN_TURN;
            self.place(case.kind, file, self.live + number)
        });
        self.chosen = places.collect();
        self.next = (self.next + case.batch) % IN_TURN;
    }

    /// Sends SETUPMAPPING for all chosen mappings at once.
    pub fn set_up(&mut self) -> Result<()> {
        let chosen = std::mem::take(&mut self.chosen);
        let done = self.set_up_all(&chosen);
        self.chosen = chosen;
        done.with_context(|| format!("{}: SETUPMAPPING", self.running.name))
    }

    /// Sends one REMOVEMAPPING for all chosen mappings.
    pub fn remove(&mut self) -> Result<()> {
        let chosen = std::mem::take(&mut self.chosen);
        let done = self.remove_all(&chosen);
        self.chosen = chosen;
        done.with_context(|| format!("{}: REMOVEMAPPING", self.running.name))
    }

    fn set_up_all(&mut self, places: &[Place]) -> Result<(), FuseError> {
        let pipeline = self.client.pipeline();
        for Place { node, from, at } in places {
            let body = Body::setup_mapping(*from, RANGE, *at, true);
            pipeline.submit(&Request::new(*node, body))?;
        }
        while pipeline.in_flight() > 0 {
            pipeline.complete()?.result?;
        }
        Ok(())
    }

    fn remove_all(&mut self, places: &[Place]) -> Result<(), FuseError> {
        let Some(first) = places.first() else {
            return Ok(());
        };
        let ranges: Vec<_> = places.iter().map(|place| (place.at, RANGE)).collect();
        self.client.remove_mapping(first.node, &ranges)
    }

    fn place(&self, kind: Kind, file: u32, slot: u32) -> Place {
        let at = WindowOffset(u64::from(slot) * RANGE);
        let (node, from) = match kind {
            Kind::Large => (self.large, u64::from(file) * RANGE),
            Kind::Small => (self.small[file as usize], 0),
        };
        Place {
            node,
            from: FileOffset(from),
            at,
        }
    }
}
