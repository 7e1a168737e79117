// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The suite's results, one for each test.
//!
//! ```text
//! chmod::ctime::fifo                         ok
//! link::exdev_target                         skipped
//!         No secondary file-system has been configured.
//! rename::loops                              FAILED
//!         assertion `left == right` failed
//!   left: Ok(())
//!
//! Summary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total
//! ```

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

/// How one test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As POSIX demands.
    Passed,
    /// Not as POSIX demands; the suite's message.
    Failed(String),
    /// The test did not run; the reason.
    Skipped(String),
}

/// How all tests of one run ended, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(BTreeMap<String, Verdict>);

/// The start of the last line, which shows that the suite has run to its end.
const SUMMARY: &str = "Summary: ";

impl Outcomes {
    /// Parses the whole output of the suite. Fails if the end is missing, or if the end counts
    /// other tests than were read.
    pub fn parse(output: &str) -> Result<Self> {
        let mut outcomes = BTreeMap::new();
        let mut latest: Option<&mut Verdict> = None;
        let mut summary = None;
        for line in output.lines() {
            if let Some(rest) = line.strip_prefix(SUMMARY) {
                summary = Some(rest);
            } else if let Some((name, verdict)) = verdict(line) {
                let known = outcomes.insert(name.to_owned(), verdict);
                ensure!(known.is_none(), "the suite ran {name} twice");
                latest = outcomes.get_mut(name);
            } else if let Some(Verdict::Failed(words) | Verdict::Skipped(words)) = &mut latest {
                add(words, line);
            }
        }
        let outcomes = Self(outcomes);
        let summary = summary.with_context(|| {
            let end: Vec<&str> = output.lines().rev().take(5).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            format!("the suite did not come to its end: {}", end.join("\n"))
        })?;
        outcomes.agree_with(summary)?;
        Ok(outcomes)
    }

    fn agree_with(&self, summary: &str) -> Result<()> {
        let counted = [
            (self.failed().count(), "failed"),
            (self.skipped(), "skipped"),
            (self.passed(), "passed"),
            (0, "expected failures"),
            (self.0.len(), "total"),
        ];
        let counted = counted.map(|(count, what)| format!("{count} {what}"));
        let counted = counted.join(", ");
        if counted != summary {
            bail!("the suite counts {summary}, but its lines are {counted}");
        }
        Ok(())
    }

    /// Joins this run with another one, whose verdict counts for the tests that it did not skip.
    pub fn and(mut self, other: Self) -> Self {
        for (name, verdict) in other.0 {
            let skipped = matches!(verdict, Verdict::Skipped(_));
            if !skipped || !self.0.contains_key(&name) {
                self.0.insert(name, verdict);
            }
        }
        self
    }

    /// How a test ended, if there is one of that name.
    pub fn of(&self, name: &str) -> Option<&Verdict> {
        self.0.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        let failed = self.0.iter();
        let failed = failed.filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
        failed.map(|(name, _)| name.as_str())
    }

    /// How many tests have run.
    pub fn ran(&self) -> usize {
        self.0.len() - self.skipped()
    }

    fn skipped(&self) -> usize {
        let verdicts = self.0.values();
        let skipped = verdicts.filter(|verdict| matches!(verdict, Verdict::Skipped(_)));
        skipped.count()
    }

    fn passed(&self) -> usize {
        let verdicts = self.0.values();
        verdicts
            .filter(|verdict| **verdict == Verdict::Passed)
            .count()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed) = (self.passed(), self.failed().count());
        let skipped = self.skipped();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The test and its verdict, if the line has one.
fn verdict(line: &str) -> Option<(&str, Verdict)> {
    let (name, word) = line.split_once(' ')?;
    let is_name = name.contains("::") && !name.starts_with(char::is_whitespace);
    let verdict = match word.trim_start() {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed(String::new()),
        "skipped" => Verdict::Skipped(String::new()),
        _ => return None,
    };
    is_name.then_some((name, verdict))
}

fn add(words: &mut String, line: &str) {
    let line = line.trim();
    if !line.is_empty() {
        if !words.is_empty() {
            words.push_str("; ");
        }
        words.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
chmod::ctime::fifo                                            ok
link::exdev_target                                       skipped
\tNo secondary file-system has been configured.
rename::loops                                             FAILED
\tassertion `left == right` failed
  left: Ok(())
 right: Err(EINVAL)

Summary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total
";

    #[test]
    fn each_verdict_is_read_with_its_words() {
        let outcomes = Outcomes::parse(OUTPUT).unwrap();
        let failed = "assertion `left == right` failed; left: Ok(()); right: Err(EINVAL)";
        let failed = Verdict::Failed(failed.to_owned());
        assert_eq!(outcomes.of("rename::loops"), Some(&failed));
        assert_eq!(outcomes.of("chmod::ctime::fifo"), Some(&Verdict::Passed));
        let skipped = outcomes.of("link::exdev_target");
        assert!(matches!(skipped, Some(Verdict::Skipped(why)) if why.starts_with("No secondary")));
        assert_eq!(outcomes.ran(), 2);
        assert_eq!(outcomes.to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn of_two_runs_the_one_that_ran_a_test_counts() {
        let run = |line: &str| {
            let (skipped, passed) = (line.contains("skipped"), line.contains("ok"));
            let (skipped, passed) = (u8::from(skipped), u8::from(passed));
            let summary = format!(
                "Summary: 0 failed, {skipped} skipped, {passed} passed, 0 expected failures, 1 total"
            );
            Outcomes::parse(&format!("{line}\n{summary}")).unwrap()
        };
        let (passed, skipped) = (run("a::b ok"), run("a::b skipped"));
        assert_eq!(skipped.clone().and(passed.clone()), passed);
        assert_eq!(passed.clone().and(skipped), passed);
        assert_eq!(passed.and(run("a::c ok")).ran(), 2);
    }

    #[test]
    fn a_run_that_was_cut_short_is_none() {
        let cut = OUTPUT.split("Summary").next().unwrap();
        let error = Outcomes::parse(cut).unwrap_err().to_string();
        assert!(error.contains("did not come to its end"), "{error}");
        assert!(Outcomes::parse("").is_err());
    }

    #[test]
    fn lines_that_were_not_understood_are_noticed() {
        let odd = OUTPUT.replace(" ok", " okay");
        let error = Outcomes::parse(&odd).unwrap_err().to_string();
        assert!(error.contains("0 passed"), "{error}");
        let twice = OUTPUT.replace("link::exdev_target", "rename::loops");
        assert!(Outcomes::parse(&twice).is_err());
    }
}
