// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs tests, several guests at a time.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _};
use qemu_guest::vm::WindowKind;
use tokio::time::timeout;

use crate::cli::Cli;
use crate::lab::{Boot, Host, Lab};
use crate::report::Report;
use crate::scenario::{Alone, Group, Scenario, Tests};
use crate::scenarios;

/// How long one test may take. The waits in a test are shorter and report more. This limit catches
/// a wait without a limit of its own, so that the run goes on and the test's logs are kept.
const TEST_TIME_OUT: Duration = Duration::from_secs(1800);

/// Runs the tests that `cli` selects; true if all of them passed.
pub async fn run(cli: &Cli) -> Result<bool> {
    let groups = scenarios::all();
    if cli.list {
        return list(groups.iter().flat_map(names).filter(|name| cli.wants(name)));
    }
    ensure!(
        groups.iter().flat_map(names).any(|name| cli.wants(&name)),
        "no test has one of these in its name: {}; --list has the names",
        cli.filters.join(", ")
    );
    let start = Instant::now();
    let host = Host::prepare(cli.kernel.clone(), cli.soak).await?;
    println!("guests: {host}");
    let report = Report::default();
    if cli.one_region {
        let kind = host.window().await?;
        let is_one = kind == WindowKind::OneRegion;
        ensure!(is_one, "this QEMU's window is {kind}");
    }
    let units: Vec<Unit> = groups.iter().flat_map(|group| units(group, cli)).collect();
    let plays = units
        .iter()
        .map(|unit| unit.play(&host, &cli.logs, &report));
    stream::iter(plays)
        .buffer_unordered(cli.jobs.get())
        .collect::<()>()
        .await;
    Ok(report.close(start))
}

fn list(names: impl Iterator<Item = String>) -> Result<bool> {
    let mut out = io::stdout().lock();
    for name in names {
        match writeln!(out, "{name}") {
            // The reader of this output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(true)
}

/// The full names of a group's tests.
pub fn names(group: &Group) -> impl Iterator<Item = String> {
    let tests: Vec<&str> = match &group.tests {
        Tests::Together { scenarios, .. } => scenarios.iter().map(|test| test.name).collect(),
        Tests::Alone(tests) => tests.iter().map(|test| test.name).collect(),
    };
    let group = group.name;
    tests.into_iter().map(move |test| full_name(group, test))
}

fn full_name(group: &str, test: &str) -> String {
    format!("{group}::{test}")
}

/// A test, or a group of tests, with guests of its own.
enum Unit {
    /// A test.
    Alone { name: String, test: &'static Alone },
    /// Tests that share a guest.
    Together(Together),
}

/// The selected tests of a group.
fn units(group: &'static Group, cli: &Cli) -> Vec<Unit> {
    let is_wanted = |test: &str| cli.wants(&full_name(group.name, test));
    match &group.tests {
        Tests::Together { boot, scenarios } => {
            let wanted = scenarios.iter().filter(|test| is_wanted(test.name));
            let wanted: Vec<_> = wanted.collect();
            if wanted.is_empty() {
                return Vec::new();
            }
            vec![Unit::Together(Together {
                group: group.name,
                boot: *boot,
                scenarios: wanted,
            })]
        }
        Tests::Alone(tests) => {
            let wanted = tests.iter().filter(|test| is_wanted(test.name));
            let unit = |test: &'static Alone| Unit::Alone {
                name: full_name(group.name, test.name),
                test,
            };
            wanted.map(unit).collect()
        }
    }
}

impl Unit {
    async fn play(&self, host: &Host, logs: &Path, report: &Report) {
        let place = match self {
            Self::Alone { name, .. } => name.replace("::", "-"),
            Self::Together(group) => group.group.to_owned(),
        };
        let host = host.logging_to(logs.join(place));
        match self {
            Self::Alone { name, test } => alone(&host, test, name, report).await,
            Self::Together(group) => group.all(&host, report).await,
        }
    }
}

async fn alone(host: &Host, test: &Alone, name: &str, report: &Report) {
    let start = Instant::now();
    let outcome = in_time("the test", (test.run)(host)).await;
    let failed = report.add(name, start, &outcome, host.saved_logs());
    if !failed {
        host.drop_logs();
    }
}

/// Tests of a group that share one guest.
struct Together {
    group: &'static str,
    boot: fn() -> Result<Boot>,
    scenarios: Vec<&'static Scenario>,
}

impl Together {
    fn full_name(&self, test: &str) -> String {
        full_name(self.group, test)
    }

    async fn all(&self, host: &Host, report: &Report) {
        let start = Instant::now();
        let started = async { Lab::start(host, (self.boot)()?).await };
        let started = in_time("the boot", started).await;
        let mut failed = started.is_err();
        let end = match started {
            Ok(lab) => {
                report.add(&self.full_name("boots"), start, &Ok(()), None);
                for scenario in &self.scenarios {
                    failed |= self.one(host, &lab, scenario, report).await;
                }
                let start = Instant::now();
                let ended = in_time("the guest's end", lab.end()).await;
                (start, "ends in order", ended)
            }
            Err(error) => (start, "boots", Err(error)),
        };
        let (start, name, outcome) = end;
        failed |= report.add(&self.full_name(name), start, &outcome, host.saved_logs());
        if !failed {
            host.drop_logs();
        }
    }

    /// True if the scenario failed.
    async fn one(&self, host: &Host, lab: &Lab<'_>, scenario: &Scenario, report: &Report) -> bool {
        let start = Instant::now();
        let outcome = tokio::select! {
            outcome = in_time("the test", (scenario.run)(lab)) => outcome,
            gone = lab.gone() => Err(gone),
        };
        let outcome = outcome.with_context(|| lab.last_words());
        if outcome.is_err() {
            lab.save_logs();
        }
        let name = self.full_name(scenario.name);
        report.add(&name, start, &outcome, host.saved_logs())
    }
}

async fn in_time<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = timeout(TEST_TIME_OUT, work).await;
    done.with_context(|| format!("{what} has not ended in {TEST_TIME_OUT:?}"))?
}
