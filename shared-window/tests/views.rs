// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Views by FUSE passthrough, on this host's real file systems.
//!
//! Needs root and a kernel with FUSE passthrough; where a host lacks that every test is reported as
//! ignored, with the reason. All processes are forked before the first thread, as a daemon does
//! it; hence no standard test harness.

#[path = "views/confined.rs"]
mod confined;
#[path = "views/files.rs"]
mod files;
#[path = "views/processes.rs"]
mod processes;
#[path = "views/service.rs"]
mod service;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};

use crate::files::Place;
use crate::processes::{Companion, Stranger};

/// What the tests share.
pub(crate) struct Bench {
    /// The companion that most tests use; gone after the last.
    pub(crate) companion: Companion,
    /// One that a test may kill.
    pub(crate) victim: Mutex<Option<Companion>>,
    /// One that keeps others from truncating files.
    pub(crate) guarding: Companion,
    /// A process of another user.
    pub(crate) stranger: Stranger,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(reason) = processes::unfit() {
        eprintln!("views: all tests are ignored: {reason}");
        return libtest_mimic::run(&arguments, ignored()).exit_code();
    }
    let refused = processes::refused_companions();
    let confined = confined::outcome();
    // A child inherits the ends of those before it: so the companion, whose end is awaited, is the
    // last.
    let stranger = Stranger::start();
    let guarding = Companion::start_guarding(&std::env::temp_dir());
    let victim = Companion::start();
    let bench = Arc::new(Bench {
        companion: Companion::start(),
        victim: Mutex::new(Some(victim)),
        guarding,
        stranger,
    });
    let mut trials = vec![
        Trial::test("a_host_that_cannot_is_told_why", move || {
            service::hosts_that_cannot(refused)
        }),
        Trial::test("a_confined_client_opens_views", move || confined),
    ];
    for (name, test) in service::TESTS {
        let bench = Arc::clone(&bench);
        trials.push(Trial::test(*name, move || test(&bench)));
    }
    for place in Place::ALL {
        for (name, test) in files::TESTS {
            let bench = Arc::clone(&bench);
            let name = format!("{name}::{place}");
            trials.push(Trial::test(name, move || test(&bench, place)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let bench = Arc::into_inner(bench).expect("no test outlives the run");
    match bench.end() {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("views: a process did not end well: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    /// Ends all processes, the last that was started first.
    fn end(self) -> std::io::Result<()> {
        self.companion.end()?;
        if let Some(unharmed) = self.victim.into_inner().ok().flatten() {
            unharmed.end()?;
        }
        self.guarding.end()?;
        self.stranger.end()
    }
}

/// The names of all tests, marked as ignored.
fn ignored() -> Vec<Trial> {
    let names = service::TESTS.iter().map(|(name, _)| (*name).to_owned());
    let placed = Place::ALL.into_iter().flat_map(|place| {
        files::TESTS
            .iter()
            .map(move |(name, _)| format!("{name}::{place}"))
    });
    names
        .chain(placed)
        .map(|name| Trial::test(name, || Ok(())).with_ignored_flag(true))
        .collect()
}
