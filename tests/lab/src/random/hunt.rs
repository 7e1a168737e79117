// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Draws and plays one program after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dax_random::{Deviation, Program, draw};

use super::RandomArgs;
use super::guest::Guest;
use super::investigate::{Small, investigate, seen};

/// After this many failures of the lab in a row it gives up.
const MAX_FAILURES: u32 = 3;

/// Something that was found.
pub struct Find {
    /// What came otherwise, when it was first seen.
    pub deviation: Deviation,
    /// The program as it was drawn.
    pub program: Program,
    /// Its number.
    pub number: u64,
    /// In how many programs it was seen.
    pub times: u32,
    /// The steps that had been played until it was first seen.
    pub after_steps: u64,
    /// The time until then.
    pub after: Duration,
    /// The small program.
    pub small: Option<Small>,
}

/// What was found so far.
pub struct Hunt<'a> {
    args: &'a RandomArgs,
    started: Instant,
    /// Programs that were played.
    pub programs: u64,
    /// Their steps.
    pub steps: u64,
    /// What was found, by signature.
    pub found: BTreeMap<String, Find>,
    /// Failures of the lab.
    pub failures: Vec<String>,
}

impl<'a> Hunt<'a> {
    /// Nothing has been played yet.
    pub fn new(args: &'a RandomArgs) -> Self {
        Self {
            args,
            started: Instant::now(),
            programs: 0,
            steps: 0,
            found: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Plays programs until steps or time are used up.
    ///
    /// # Errors
    ///
    /// If the lab fails several times in a row, or a file can't be written.
    pub async fn run(&mut self, guest: &mut Guest<'_>) -> Result<()> {
        let time = self.args.time.map(Duration::from_secs);
        let mut failures = 0;
        while self.steps < self.args.step_limit()
            && time.is_none_or(|time| self.started.elapsed() < time)
        {
            let number = self.programs;
            let program = draw(self.args.seed, number, self.args.fs);
            self.programs += 1;
            let played = match guest.play(&program).await {
                Ok(played) => played,
                Err(error) => {
                    eprintln!("LAB   program {number}: {error:#}");
                    self.failures.push(format!("program {number}: {error:#}"));
                    failures += 1;
                    if failures == MAX_FAILURES {
                        return Err(error);
                    }
                    continue;
                }
            };
            failures = 0;
            self.steps += program.steps.len() as u64;
            for (signature, deviation) in seen(&played) {
                self.note(guest, number, &program, &signature, deviation)
                    .await?;
            }
        }
        Ok(())
    }

    async fn note(
        &mut self,
        guest: &mut Guest<'_>,
        number: u64,
        program: &Program,
        signature: &str,
        deviation: &Deviation,
    ) -> Result<()> {
        if let Some(find) = self.found.get_mut(signature) {
            find.times += 1;
            return Ok(());
        }
        let after = self.started.elapsed();
        let seconds = after.as_secs();
        eprintln!("found program {number}, {seconds} s: {deviation}");
        let find = Find {
            deviation: deviation.clone(),
            program: program.clone(),
            number,
            times: 1,
            after_steps: self.steps,
            after,
            small: None,
        };
        self.write(signature, &find)?;
        self.found.insert(signature.to_owned(), find);
        let small = match investigate(guest, program, signature, self.args.times).await {
            Ok(small) => small,
            Err(error) => {
                eprintln!("LAB   making program {number} small: {error:#}");
                self.failures.push(format!("program {number}: {error:#}"));
                return Ok(());
            }
        };
        let ((shown, of), left) = (small.rate, small.program.steps.len());
        let path = self.file(signature);
        eprintln!(
            "      {shown} of {of} plays, {left} steps: {}",
            path.display()
        );
        if let Some(find) = self.found.get_mut(signature) {
            // The pages and files of the small program may be others.
            if let Some(deviation) = &small.deviation {
                find.deviation = deviation.clone();
            }
            find.small = Some(small);
        }
        self.write(signature, &self.found[signature])
    }

    /// The file of what has a signature.
    pub fn file(&self, signature: &str) -> PathBuf {
        let name = slug(signature);
        self.args.out.join(format!("{name}.program"))
    }

    /// Writes a program down, with what is known of it.
    fn write(&self, signature: &str, find: &Find) -> Result<()> {
        let RandomArgs { seed, kernel, .. } = self.args;
        let (program, rate) = match &find.small {
            Some(Small { program, rate, .. }) => {
                (program, format!("{} of {} plays", rate.0, rate.1))
            }
            None => (&find.program, "not made small".to_owned()),
        };
        let text = format!(
            "# {signature}\n# {}\n# kernel {kernel}: {rate}\n\
             # seed {seed}, program {}, after {} steps and {} s\n{program}",
            find.deviation.detail.replace('\n', " "),
            find.number,
            find.after_steps,
            find.after.as_secs(),
        );
        let path = self.file(signature);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// The time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A signature as a name.
pub fn slug(signature: &str) -> String {
    let words = signature.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}
