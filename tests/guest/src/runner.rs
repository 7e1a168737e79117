// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs groups one after the other: two cores are just enough for one emulated guest.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::time::timeout;

use crate::cli::Cli;
use crate::lab::{Boot, Host, Lab};
use crate::report::Report;
use crate::scenario::{Alone, Group, Scenario, Tests};
use crate::scenarios;

/// How long one test may take. Its own waits are shorter and say more; this one is for a wait that
/// has no limit, so that the run goes on and the test's logs are kept.
const TEST_TIME_OUT: Duration = Duration::from_secs(1800);

/// Runs what `cli` asks for; true if all of it passed.
pub async fn run(cli: &Cli) -> Result<bool> {
    let groups = scenarios::all();
    if cli.list {
        return list(&groups);
    }
    let start = Instant::now();
    let host = Host::prepare(cli.soak).await?;
    println!("guests: {host}");
    let mut report = Report::default();
    for group in &groups {
        let wanted: Vec<String> = names(group).filter(|name| cli.wants(name)).collect();
        if wanted.is_empty() {
            continue;
        }
        match &group.tests {
            Tests::Together { boot, scenarios } => {
                let run = Together {
                    host: &host,
                    group: group.name,
                    logs: &cli.logs,
                };
                run.all(*boot, scenarios, &wanted, &mut report).await;
            }
            Tests::Alone(tests) => {
                for test in tests.iter() {
                    let name = full_name(group.name, test.name);
                    if wanted.contains(&name) {
                        alone(&host, test, &name, &cli.logs, &mut report).await;
                    }
                }
            }
        }
    }
    Ok(report.close(start))
}

fn list(groups: &[Group]) -> Result<bool> {
    let mut out = io::stdout().lock();
    for name in groups.iter().flat_map(names) {
        match writeln!(out, "{name}") {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(true)
}

fn names(group: &Group) -> impl Iterator<Item = String> {
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

async fn alone(host: &Host, test: &Alone, name: &str, logs: &Path, report: &mut Report) {
    host.log_to(log_dir(logs, name));
    let start = Instant::now();
    let outcome = in_time("the test", (test.run)(host)).await;
    report.add(name, start, &outcome, host.saved_logs().as_deref());
    if outcome.is_ok() {
        host.drop_logs();
    }
}

/// A group that shares one guest.
struct Together<'a> {
    host: &'a Host,
    group: &'static str,
    logs: &'a Path,
}

impl Together<'_> {
    async fn all(
        &self,
        boot: fn() -> Result<Boot>,
        scenarios: &[Scenario],
        wanted: &[String],
        report: &mut Report,
    ) {
        self.host.log_to(log_dir(self.logs, self.group));
        let start = Instant::now();
        let started = async { Lab::start(self.host, boot()?).await };
        let started = in_time("the boot", started).await;
        let mut failed = started.is_err();
        let end = match started {
            Ok(lab) => {
                report.add(&full_name(self.group, "boots"), start, &Ok(()), None);
                for scenario in scenarios {
                    let name = full_name(self.group, scenario.name);
                    if wanted.contains(&name) {
                        failed |= self.one(&lab, scenario, &name, report).await;
                    }
                }
                let start = Instant::now();
                let ended = in_time("the guest's end", lab.end()).await;
                (start, "ends in order", ended)
            }
            Err(error) => (start, "boots", Err(error)),
        };
        let (start, name, outcome) = end;
        failed |= outcome.is_err();
        let name = full_name(self.group, name);
        report.add(&name, start, &outcome, self.host.saved_logs().as_deref());
        if !failed {
            self.host.drop_logs();
        }
    }

    /// True if the scenario failed.
    async fn one(
        &self,
        lab: &Lab<'_>,
        scenario: &Scenario,
        name: &str,
        report: &mut Report,
    ) -> bool {
        let start = Instant::now();
        let outcome = tokio::select! {
            outcome = in_time("the test", (scenario.run)(lab)) => outcome,
            gone = lab.gone() => Err(gone),
        };
        let outcome = outcome.with_context(|| lab.last_words());
        if outcome.is_err() {
            lab.save_logs();
        }
        report.add(name, start, &outcome, Some(&log_dir(self.logs, self.group)));
        outcome.is_err()
    }
}

async fn in_time<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = timeout(TEST_TIME_OUT, work).await;
    done.with_context(|| format!("{what} has not ended in {TEST_TIME_OUT:?}"))?
}

fn log_dir(logs: &Path, name: &str) -> PathBuf {
    logs.join(name.replace("::", "-"))
}
