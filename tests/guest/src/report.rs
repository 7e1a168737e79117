// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One line per test, the causes of failures below it, and a closing line.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::scenario::Skip;

/// Counts and prints the outcomes of the tests.
#[derive(Debug, Default)]
pub struct Report(RefCell<Counts>);

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl Report {
    /// Prints the outcome of the test `name`, begun at `start`; true if it is a failure. `logs` is
    /// the folder of a failure's logs.
    pub fn add(
        &self,
        name: &str,
        start: Instant,
        outcome: &Result<()>,
        logs: Option<&Path>,
    ) -> bool {
        let seconds = Seconds(start.elapsed());
        let mut counts = self.0.borrow_mut();
        let skip = outcome
            .as_ref()
            .err()
            .and_then(|error| error.downcast_ref::<Skip>());
        match outcome {
            Err(_) if let Some(why) = skip => {
                println!("skip  {name}: {why}");
                counts.skipped += 1;
                return false;
            }
            Ok(()) => {
                println!("ok    {name} ({seconds})");
                counts.passed += 1;
            }
            Err(error) => {
                println!("FAIL  {name} ({seconds})");
                println!("{}", indent(&format!("{error:#}")));
                if let Some(logs) = logs {
                    println!("      logs: {}", logs.display());
                }
                counts.failed.push(name.to_owned());
            }
        }
        outcome.is_err()
    }

    /// Prints the closing lines; true if nothing failed and at least one test ran.
    pub fn close(&self, start: Instant) -> bool {
        let counts = self.0.borrow();
        for name in &counts.failed {
            println!("failed: {name}");
        }
        println!("guest tests took {}", Seconds(start.elapsed()));
        let (passed, failed) = (counts.passed, counts.failed.len());
        match counts.skipped {
            0 => println!("{passed} passed, {failed} failed"),
            skipped => println!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
        failed == 0 && passed + counts.skipped > 0
    }
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("      {line}")).collect();
    lines.join("\n")
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}
