// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One line per test, the causes of failures below it, and a closing line.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Counts what came of the tests and prints it.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: Vec<String>,
}

impl Report {
    /// Prints what came of the test `name`, begun at `start`; `logs` is where a failure's logs are.
    pub fn add(&mut self, name: &str, start: Instant, outcome: &Result<()>, logs: Option<&Path>) {
        let seconds = Seconds(start.elapsed());
        match outcome {
            Ok(()) => {
                println!("ok    {name} ({seconds})");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAIL  {name} ({seconds})");
                println!("{}", indent(&format!("{error:#}")));
                if let Some(logs) = logs {
                    println!("      logs: {}", logs.display());
                }
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Prints the closing lines; true if nothing failed and something passed.
    pub fn close(&self, start: Instant) -> bool {
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("guest tests took {}", Seconds(start.elapsed()));
        println!("{} passed, {} failed", self.passed, self.failed.len());
        self.failed.is_empty() && self.passed > 0
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
