// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Locks of a guest and of the host in random order, beside a model of what each of them holds.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use virtiofs_driver::{Body, Handle, NodeId, Options, Reply, Unique};

use crate::locks::{Guest, range, set};

/// Steps of one run.
const STEPS: u64 = 10_000;
const SEED: u64 = 15;
/// How long a run with a wrong model waits for an answer that may never come.
const NO_LONGER: Duration = Duration::from_secs(5);
const FILES: usize = 2;
/// Owners of the guest on each file; each has a handle of its own.
const GUESTS: usize = 3;
/// All owners: the last ones are descriptions of the host.
const OWNERS: usize = GUESTS + 2;
/// Bytes of a file that are locked.
const BYTES: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

fn number(kind: Option<Kind>) -> i32 {
    match kind {
        None => libc::F_UNLCK,
        Some(Kind::Read) => libc::F_RDLCK,
        Some(Kind::Write) => libc::F_WRLCK,
    }
}

fn exclude(one: Kind, other: Kind) -> bool {
    one == Kind::Write || other == Kind::Write
}

/// What each owner holds on a file: byte by byte, and by flock(2).
#[derive(Default, Clone, Copy)]
struct Held {
    bytes: [[Option<Kind>; BYTES]; OWNERS],
    flocks: [Option<Kind>; OWNERS],
}

impl Held {
    /// The owners that keep `owner` from these bytes.
    fn holders(&self, owner: usize, (first, last): (usize, usize), kind: Kind) -> Vec<usize> {
        (0..OWNERS)
            .filter(|other| *other != owner)
            .filter(|other| {
                let held = &self.bytes[*other][first..=last];
                held.iter().flatten().any(|held| exclude(*held, kind))
            })
            .collect()
    }

    fn is_flock_free(&self, owner: usize, kind: Kind) -> bool {
        let others = (0..OWNERS).filter(|other| *other != owner);
        !others
            .filter_map(|other| self.flocks[other])
            .any(|held| exclude(held, kind))
    }
}

/// What is wrong with the model, to see that a run finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// FLUSH takes no lock away.
    FlushKeeps,
    /// RELEASE takes no lock away.
    ReleaseKeeps,
    /// Shared locks exclude each other.
    SharedExcludes,
    /// The guest doesn't see the host's locks.
    HostIsUnseen,
    /// A request that has waited gets nothing.
    WaitedForNothing,
}

/// A SETLKW that waits.
struct Wait {
    unique: Unique,
    file: usize,
    owner: usize,
    bytes: (usize, usize),
    kind: Kind,
}

struct Run {
    guest: Guest,
    mistake: Option<Mistake>,
    random: u64,
    nodes: [NodeId; FILES],
    handles: [[Handle; GUESTS]; FILES],
    hosts: [[File; OWNERS - GUESTS]; FILES],
    model: [Held; FILES],
    wait: Option<Wait>,
    /// How often each kind of step had each outcome.
    granted: u32,
    refused: u32,
    waited: u32,
    interrupted: u32,
    deadlocks: u32,
}

impl Run {
    fn start(seed: u64, mistake: Option<Mistake>) -> Result<Self> {
        let mut options = Options::default();
        if mistake.is_some() {
            // For what a wrong model waits for.
            options.patience = NO_LONGER;
        }
        let mut guest = Guest::start(&[], &options)?;
        let names = ["a", "b"];
        let mut nodes = [NodeId(0); FILES];
        let mut handles = [[Handle(0); GUESTS]; FILES];
        for (file, name) in names.iter().enumerate() {
            nodes[file] = guest.file(name)?;
            for handle in &mut handles[file] {
                *handle = guest.open(nodes[file])?;
            }
        }
        let open = |name| Ok::<_, anyhow::Error>([guest.host(name)?, guest.host(name)?]);
        let hosts = [open(names[0])?, open(names[1])?];
        Ok(Self {
            guest,
            mistake,
            random: seed,
            nodes,
            handles,
            hosts,
            model: [Held::default(); FILES],
            wait: None,
            granted: 0,
            refused: 0,
            waited: 0,
            interrupted: 0,
            deadlocks: 0,
        })
    }

    /// A number below `end` (SplitMix64).
    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn kind(&mut self) -> Kind {
        [Kind::Read, Kind::Write][self.below(2)]
    }

    fn bytes(&mut self) -> (usize, usize) {
        let (one, other) = (self.below(BYTES), self.below(BYTES));
        (one.min(other), one.max(other))
    }

    /// The owners that keep `owner` from these bytes, by the model.
    fn holders(&self, file: usize, owner: usize, bytes: (usize, usize), kind: Kind) -> Vec<usize> {
        let kind = match self.mistake {
            Some(Mistake::SharedExcludes) => Kind::Write,
            _ => kind,
        };
        let mut holders = self.model[file].holders(owner, bytes, kind);
        if self.mistake == Some(Mistake::HostIsUnseen) {
            holders.retain(|holder| *holder < GUESTS);
        }
        holders
    }

    /// An owner of the guest that doesn't wait: its process sleeps then.
    fn guest_owner(&mut self) -> Option<usize> {
        let owner = self.below(GUESTS);
        let waits = (self.wait.as_ref()).is_some_and(|wait| wait.owner == owner);
        (!waits).then_some(owner)
    }

    fn steps(&mut self) -> Result<()> {
        for step in 0..STEPS {
            self.step()
                .with_context(|| format!("step {step} of seed {SEED}"))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let file = self.below(FILES);
        match self.below(16) {
            0..=4 => self.guest_sets(file)?,
            5 | 6 => self.guest_unlocks(file)?,
            7 | 8 => self.host_sets(file)?,
            9 => self.guest_asks(file)?,
            10 => self.guest_closes(file)?,
            11 | 12 => self.flocks(file)?,
            13 | 14 => self.guest_waits(file)?,
            _ => self.interrupt()?,
        }
        self.see_the_wait_end()
    }

    fn message(
        &self,
        file: usize,
        owner: usize,
        (first, last): (usize, usize),
        kind: Option<Kind>,
        waits: bool,
    ) -> Body<'static> {
        let lock = range(first as u64, last as u64, number(kind));
        // Owner numbers of two files belong to the same process.
        Body::setlk(self.handles[file][owner], owner as u64, lock, waits)
    }

    fn guest_sets(&mut self, file: usize) -> Result<()> {
        let (bytes, kind) = (self.bytes(), self.kind());
        let Some(owner) = self.guest_owner() else {
            return Ok(());
        };
        let free = self.holders(file, owner, bytes, kind).is_empty();
        let message = self.message(file, owner, bytes, Some(kind), false);
        let answer = self.guest.ask(self.nodes[file], message)?;
        self.expect(free, answer.map(drop), file, owner, bytes, Some(kind))
    }

    fn guest_unlocks(&mut self, file: usize) -> Result<()> {
        let bytes = self.bytes();
        let Some(owner) = self.guest_owner() else {
            return Ok(());
        };
        let message = self.message(file, owner, bytes, None, false);
        let answer = self.guest.ask(self.nodes[file], message)?;
        self.expect(true, answer.map(drop), file, owner, bytes, None)
    }

    fn host_sets(&mut self, file: usize) -> Result<()> {
        let (bytes, owner) = (self.bytes(), GUESTS + self.below(OWNERS - GUESTS));
        let kind = [None, Some(Kind::Read), Some(Kind::Write)][self.below(3)];
        let free = kind.is_none_or(|kind| self.holders(file, owner, bytes, kind).is_empty());
        let (first, last) = bytes;
        let host = &self.hosts[file][owner - GUESTS];
        let result = set(host, first as u64, last as u64, number(kind));
        let result = result.map_err(|error| error.raw_os_error().unwrap_or(0));
        self.expect(free, result, file, owner, bytes, kind)
    }

    /// Compares a result with the model, and takes it over.
    fn expect(
        &mut self,
        free: bool,
        result: Result<(), i32>,
        file: usize,
        owner: usize,
        (first, last): (usize, usize),
        kind: Option<Kind>,
    ) -> Result<()> {
        let expected = if free { Ok(()) } else { Err(libc::EAGAIN) };
        ensure!(
            result == expected,
            "owner {owner} of file {file}, bytes {first} to {last}, {kind:?}: {result:?}, not {expected:?}"
        );
        if free {
            self.granted += 1;
            self.model[file].bytes[owner][first..=last].fill(kind);
        } else {
            self.refused += 1;
        }
        Ok(())
    }

    fn guest_asks(&mut self, file: usize) -> Result<()> {
        let ((first, last), kind, owner) = (self.bytes(), self.kind(), self.below(GUESTS));
        let lock = range(first as u64, last as u64, number(Some(kind)));
        let question = Body::getlk(self.handles[file][owner], owner as u64, lock);
        let found = match self.guest.ask(self.nodes[file], question)? {
            Ok(Reply::Lock(found)) => found.lk,
            other => bail!("GETLK: {other:?}"),
        };
        let holders = self.holders(file, owner, (first, last), kind);
        if holders.is_empty() {
            ensure!(found.type_ == libc::F_UNLCK as u32, "found {found:?}");
            return Ok(());
        }
        let bytes = found.start as usize..=found.end as usize;
        let held = [Kind::Read, Kind::Write]
            .into_iter()
            .find(|kind| number(Some(*kind)) as u32 == found.type_);
        let holds = |holder: &&usize| {
            let held_bytes = self.model[file].bytes[**holder].get(bytes.clone());
            held_bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == held))
        };
        ensure!(
            held.is_some_and(|held| exclude(held, kind))
                && *bytes.start() <= last
                && *bytes.end() >= first
                && holders.iter().any(|holder| holds(&holder)),
            "found {found:?}, which none of {holders:?} holds"
        );
        Ok(())
    }

    /// Closes a descriptor: POSIX locks go by FLUSH, flock by RELEASE.
    fn guest_closes(&mut self, file: usize) -> Result<()> {
        let Some(owner) = self.guest_owner() else {
            return Ok(());
        };
        let (node, handle) = (self.nodes[file], self.handles[file][owner]);
        if self.below(2) == 0 {
            let flushed = self.guest.ask(node, Body::flush(handle, owner as u64))?;
            ensure!(flushed.is_ok(), "FLUSH: {flushed:?}");
            if self.mistake != Some(Mistake::FlushKeeps) {
                self.model[file].bytes[owner].fill(None);
            }
            return Ok(());
        }
        // As for an OFD lock, no FLUSH tells of the end.
        let released = self.guest.ask(node, Body::release(handle))?;
        ensure!(released.is_ok(), "RELEASE: {released:?}");
        self.handles[file][owner] = self.guest.open(node)?;
        if self.mistake != Some(Mistake::ReleaseKeeps) {
            self.model[file].bytes[owner].fill(None);
            self.model[file].flocks[owner] = None;
        }
        Ok(())
    }

    fn flocks(&mut self, file: usize) -> Result<()> {
        let owner = self.below(OWNERS);
        if self.wait.as_ref().is_some_and(|wait| wait.owner == owner) {
            return Ok(());
        }
        let kind = [None, Some(Kind::Read), Some(Kind::Write)][self.below(3)];
        let free = kind.is_none_or(|kind| self.model[file].is_flock_free(owner, kind));
        let granted = match owner.checked_sub(GUESTS) {
            None => {
                let handle = self.handles[file][owner];
                let message = Body::flock(handle, owner as u64, number(kind), false);
                self.guest.ask(self.nodes[file], message)?.is_ok()
            }
            Some(host) => {
                let operation = match kind {
                    None => FlockOperation::Unlock,
                    Some(Kind::Read) => FlockOperation::NonBlockingLockShared,
                    Some(Kind::Write) => FlockOperation::NonBlockingLockExclusive,
                };
                flock(&self.hosts[file][host], operation).is_ok()
            }
        };
        ensure!(
            granted == free,
            "flock of owner {owner} on file {file}, {kind:?}: granted is {granted}"
        );
        // flock(2) gives up the old lock for the new one, also where the new one is refused.
        match granted {
            true => self.model[file].flocks[owner] = kind,
            false if self.model[file].flocks[owner] != kind => {
                self.model[file].flocks[owner] = None;
            }
            false => {}
        }
        Ok(())
    }

    fn guest_waits(&mut self, file: usize) -> Result<()> {
        let (bytes, kind) = (self.bytes(), self.kind());
        let Some(owner) = self.guest_owner() else {
            return Ok(());
        };
        let message = self.message(file, owner, bytes, Some(kind), true);
        let holders = self.holders(file, owner, bytes, kind);
        if holders.is_empty() {
            let answer = self.guest.ask(self.nodes[file], message)?;
            return self.expect(true, answer.map(drop), file, owner, bytes, Some(kind));
        }
        match &self.wait {
            None => {
                let unique = self.guest.send(self.nodes[file], message)?;
                self.guest.wait_for_waits(1)?;
                self.wait = Some(Wait {
                    unique,
                    file,
                    owner,
                    bytes,
                    kind,
                });
            }
            Some(wait) => {
                let theirs = self.holders(wait.file, wait.owner, wait.bytes, wait.kind);
                // Two that wait without a deadlock would be granted in an order that the kernel chooses.
                if holders.contains(&wait.owner) && theirs.contains(&owner) {
                    let answer = self.guest.ask(self.nodes[file], message)?;
                    ensure!(answer.err() == Some(libc::EDEADLK), "no deadlock was found");
                    self.deadlocks += 1;
                }
            }
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        let Some(wait) = self.wait.take() else {
            return Ok(());
        };
        self.guest.interrupt(wait.unique)?;
        let answer = self.guest.answer(wait.unique)?;
        ensure!(answer.err() == Some(libc::EINTR), "not interrupted");
        self.interrupted += 1;
        self.guest.wait_for_waits(0)
    }

    /// The wait ends exactly when nothing is in its way.
    fn see_the_wait_end(&mut self) -> Result<()> {
        let Some(wait) = &self.wait else {
            return Ok(());
        };
        let (first, last) = wait.bytes;
        let holders = self.holders(wait.file, wait.owner, wait.bytes, wait.kind);
        if !holders.is_empty() {
            ensure!(
                !self.guest.is_answered(wait.unique)?,
                "it did not wait for {holders:?}"
            );
            return Ok(());
        }
        let answer = self.guest.answer(wait.unique)?;
        ensure!(answer.is_ok(), "{answer:?}");
        if self.mistake != Some(Mistake::WaitedForNothing) {
            self.model[wait.file].bytes[wait.owner][first..=last].fill(Some(wait.kind));
        }
        self.wait = None;
        self.waited += 1;
        Ok(())
    }
}

#[test]
fn ten_thousand_steps_agree_with_a_model() -> Result<()> {
    let mut run = Run::start(SEED, None)?;
    run.steps()?;
    let all = [
        run.granted,
        run.refused,
        run.waited,
        run.interrupted,
        run.deadlocks,
    ];
    assert!(all.iter().all(|number| *number > 10), "{all:?}");
    println!("granted, refused, waited, interrupted, deadlocks: {all:?}");
    Ok(())
}

/// A model that is wrong is found soon, so one that is right says something.
#[test]
fn each_mistake_of_the_model_is_found() -> Result<()> {
    for mistake in [
        Mistake::FlushKeeps,
        Mistake::ReleaseKeeps,
        Mistake::SharedExcludes,
        Mistake::HostIsUnseen,
        Mistake::WaitedForNothing,
    ] {
        let mut run = Run::start(SEED, Some(mistake))?;
        let found = run.steps();
        ensure!(found.is_err(), "{mistake:?} was not found");
    }
    Ok(())
}
