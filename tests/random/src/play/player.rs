// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state of a program that is being played.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;

use anyhow::{Context as _, Result};
use dax_cases::cases::{Held, Page};
use dax_cases::host::{FileSystem, Pending, Rig, Worker};
use guest_agent::files::{Create, KernelLog, Open};
use guest_agent::pattern::{self, Seed};
use guest_agent::removals::Removal;
use guest_agent::worker::Sequence;

use super::Played;
use super::check::PAGE;
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::model::{Content, Model};
use crate::program::{Actor, FileId, Program, RANGE_PAGES};

/// An actor in the guest.
pub(super) struct Cast {
    pub(super) worker: Worker,
    /// The step that has not returned yet.
    pub(super) pending: Option<(usize, &'static str, Pending<Sequence>)>,
    /// The pin that it holds.
    pub(super) held: Option<(Held, Page)>,
    /// Its mappings by name: the file, and the first page.
    pub(super) maps: BTreeMap<String, FileId>,
}

/// A program that is being played.
pub(super) struct Player<'a> {
    pub(super) rig: &'a mut Rig,
    pub(super) program: &'a Program,
    pub(super) model: Model,
    pub(super) cast: [Option<Cast>; 3],
    pub(super) played: &'a mut Played,
    /// For the files' names.
    pub(super) number: u64,
    /// The offsets on the servers of the pins, by their serial numbers.
    pub(super) sent_at: Vec<u64>,
    /// The files on the host, where it shares them.
    pub(super) on_host: Vec<File>,
    /// The step that is being played, counted from 0.
    pub(super) at: usize,
}

impl<'a> Player<'a> {
    /// Makes the files, and starts the actors.
    pub(super) async fn set_up(
        rig: &'a mut Rig,
        program: &'a Program,
        played: &'a mut Played,
    ) -> Result<Self> {
        rig.needs(program.fs)?;
        let (_, number) = rig.fresh();
        let mut player = Self {
            rig,
            program,
            model: Model::new(program),
            cast: [None, None, None],
            played,
            number,
            sent_at: Vec::new(),
            on_host: Vec::new(),
            at: 0,
        };
        player.make_files().await?;
        // The ranges that earlier programs left in the window have to go first.
        player.rig.watcher().ask(Removal::DropCaches).await?;
        for actor in Actor::ALL {
            let mut worker = player.start(actor).await?;
            for file in player.all_files() {
                let open = player.opening(file);
                worker.ask(open).await?;
            }
            player.cast[actor.index()] = Some(Cast::new(worker));
        }
        player.rig.watcher().ask(KernelLog {}).await?;
        Ok(player)
    }

    /// Plays the whole program.
    pub(super) async fn run(&mut self) -> Result<()> {
        for (at, step) in self.program.steps.iter().enumerate() {
            self.at = at;
            let ms = std::time::Instant::now();
            let found = self.step(*step).await?;
            let ms = ms.elapsed().as_millis();
            self.note(format_args!("{step} ({ms} ms)"));
            if self.found(found) {
                return self.clean_up().await;
            }
        }
        self.at = self.program.steps.len();
        let found = self.finish().await?;
        self.found(found);
        self.clean_up().await
    }

    /// Records a deviation, if there is one.
    pub(super) fn found(&mut self, deviation: Option<Deviation>) -> bool {
        let Some(deviation) = deviation else {
            return false;
        };
        self.note(&deviation);
        self.played.wedged |= match &deviation.kind {
            Kind::Hang(_) | Kind::Needless | Kind::Killed => true,
            // What the disk sends later goes to blocks that may be anybody's by then.
            Kind::Early => self.program.fs != FileSystem::Fuse,
            _ => false,
        };
        self.played.deviation.get_or_insert(deviation);
        true
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        self.played.steps.push(what.to_string());
    }

    pub(super) fn deviation(
        &self,
        kind: Kind,
        verb: &'static str,
        detail: impl Into<String>,
        circumstances: Circumstances,
    ) -> Deviation {
        Deviation {
            kind,
            verb,
            step: self.at + 1,
            detail: detail.into(),
            circumstances,
        }
    }

    /// What the model knows of the pins, to recognise a known finding by it.
    pub(super) fn circumstances(&self, pins: impl IntoIterator<Item = Actor>) -> Circumstances {
        let mut found = Circumstances::default();
        for actor in pins {
            if let Some(held) = &self.model.of(actor).pin {
                found.hidden.copied |= held.hidden.copied;
                found.hidden.reopened |= held.hidden.reopened;
                found.hidden.unmapped |= held.hidden.unmapped;
                found.hidden.changed |= held.hidden.changed;
            }
        }
        found
    }

    pub(super) async fn start(&self, actor: Actor) -> Result<Worker> {
        let mut worker = self.rig.actor(actor.name()).await?;
        let disk = Open {
            name: "disk".to_owned(),
            path: "/dev/vda".to_owned(),
            direct: true,
        };
        worker.ask(disk).await?;
        Ok(worker)
    }

    pub(super) fn opening(&self, file: FileId) -> Open {
        let path = self.path(file);
        Open {
            name: path.clone(),
            path,
            direct: false,
        }
    }

    pub(super) fn all_files(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..).take(self.program.files.len()).map(FileId)
    }

    /// A file's name, which no other program uses.
    pub(super) fn name(&self, file: FileId) -> String {
        format!("{}-{}", file.letter(), self.number)
    }

    /// The path in the guest.
    pub(super) fn path(&self, file: FileId) -> String {
        format!("{}/{}", self.program.fs.mount_point(), self.name(file))
    }

    pub(super) fn cast(&mut self, actor: Actor) -> Result<&mut Cast> {
        let cast = self.cast[actor.index()].as_mut();
        cast.with_context(|| format!("actor {} is gone", actor.name()))
    }

    /// Makes the files: those of a share on the host, which is faster.
    async fn make_files(&mut self) -> Result<()> {
        for file in self.all_files() {
            let len = self.program.files[file.index()] * RANGE_PAGES * PAGE;
            let seed = Content::seed(file);
            if self.program.fs != FileSystem::Fuse {
                let path = self.path(file);
                let create = Create { path, len, seed };
                self.rig.watcher().ask(create).await?;
                continue;
            }
            let path = self.rig.on_host(&self.name(file));
            let mut bytes = vec![0; len as usize];
            pattern::fill(Seed(seed), 0, &mut bytes);
            let made = File::create(&path).and_then(|mut file| file.write_all(&bytes));
            let opened = made.and_then(|()| fs::File::options().read(true).write(true).open(&path));
            let opened = opened.with_context(|| format!("making {}", path.display()))?;
            self.on_host.push(opened);
        }
        Ok(())
    }
}

impl Cast {
    pub(super) fn new(worker: Worker) -> Self {
        Self {
            worker,
            pending: None,
            held: None,
            maps: BTreeMap::new(),
        }
    }
}
