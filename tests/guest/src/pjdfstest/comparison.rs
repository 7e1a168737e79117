// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Two runs of the suite, side by side.

use std::fmt;

use super::outcome::{Outcomes, Verdict};

/// A race in the guest's kernel, which can fail a test on any share.
struct Race {
    test: &'static str,
    /// The suite's message about the failure.
    words: &'static str,
}

/// `open(O_RDONLY | O_TRUNC)` of a running program fails with ETXTBSY, but FUSE truncates the file
/// before Linux checks whether it runs. A program that is still starting dies of the truncation,
/// and Linux may then find no running program. This happens with virtiofsd as often, on a busy
/// host.
const RACES: [Race; 1] = [Race {
    test: "open::etxtbsy",
    words: "called `Result::unwrap_err()` on an `Ok` value",
}];

/// How a share's results compare with the peer's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Failures caused by a known race of the guest's kernel.
    pub races: Vec<(String, String)>,
    /// Tests that only the peer passes, with the suite's message about the share.
    pub worse: Vec<(String, String)>,
    /// Tests that both fail, with the suite's message about the share.
    pub both: Vec<(String, String)>,
    /// Tests that only the share passes, with the suite's message about the peer.
    pub better: Vec<(String, String)>,
}

impl Comparison {
    /// Compares each test. A test that only the peer ran counts as a failure of the share.
    pub fn of(ours: &Outcomes, peer: &Outcomes) -> Self {
        let mut comparison = Self::default();
        let mut names: Vec<&str> = ours.names().chain(peer.names()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let failed = |verdict| matches!(verdict, Some(&Verdict::Failed(_)));
            let (ours, peer) = (ours.of(name), peer.of(name));
            // If the peer failed by a race, the failure says nothing about the peer.
            let peers = reproach(peer).filter(|words| !is_race(name, words));
            match (reproach(ours), peers) {
                (Some(words), _) if is_race(name, &words) => {
                    comparison.races.push((name.to_owned(), words));
                }
                (Some(words), Some(_)) if failed(ours) && failed(peer) => {
                    comparison.both.push((name.to_owned(), words));
                }
                (Some(_), Some(_)) if !failed(ours) => {}
                (Some(words), _) => comparison.worse.push((name.to_owned(), words)),
                (None, Some(words)) => comparison.better.push((name.to_owned(), words)),
                (None, None) => {}
            }
        }
        comparison
    }

    /// The numbers alone.
    pub fn counts(&self) -> String {
        let Self {
            races,
            worse,
            both,
            better,
        } = self;
        let [races, worse, both, better] = [races, worse, both, better].map(Vec::len);
        format!(
            "{worse} fail here only, {both} on both, {better} on virtiofsd only, {races} by Linux"
        )
    }
}

fn is_race(test: &str, words: &str) -> bool {
    let mut races = RACES.iter();
    races.any(|race| race.test == test && words.starts_with(race.words))
}

/// The reason why a test has not passed; `None` if it has.
fn reproach(verdict: Option<&Verdict>) -> Option<String> {
    match verdict {
        Some(Verdict::Passed) => None,
        Some(Verdict::Failed(words)) => Some(words.clone()),
        Some(Verdict::Skipped(why)) => Some(format!("it did not run: {why}")),
        None => Some("it did not run".to_owned()),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.counts())?;
        let parts = [
            ("here only", &self.worse),
            ("on both", &self.both),
            ("on virtiofsd only", &self.better),
            ("by a race of Linux's", &self.races),
        ];
        for (place, tests) in parts {
            for (name, words) in tests {
                write!(f, "\n  {place}: {name}: {words}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of a run with these verdicts.
    fn run(verdicts: &[(&str, &str)]) -> Outcomes {
        let mut output = String::new();
        let count = |word| verdicts.iter().filter(|(_, said)| *said == word).count();
        for (name, word) in verdicts {
            output += &format!("t::{name} {word}\n");
        }
        let (failed, skipped, passed) = (count("FAILED"), count("skipped"), count("ok"));
        let total = verdicts.len();
        output += &format!(
            "Summary: {failed} failed, {skipped} skipped, {passed} passed, \
             0 expected failures, {total} total\n"
        );
        Outcomes::parse(&output).unwrap()
    }

    fn worse(ours: &[(&str, &str)], peer: &[(&str, &str)]) -> Vec<String> {
        let worse = Comparison::of(&run(ours), &run(peer)).worse;
        worse.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_failure_of_its_own_is_told_from_a_common_one() {
        let ours = run(&[("a", "FAILED"), ("b", "FAILED"), ("c", "ok"), ("d", "ok")]);
        let peer = run(&[("a", "ok"), ("b", "FAILED"), ("c", "FAILED"), ("d", "ok")]);
        let comparison = Comparison::of(&ours, &peer);
        assert_eq!(comparison.worse, [("t::a".into(), String::new())]);
        assert_eq!(comparison.both, [("t::b".into(), String::new())]);
        assert_eq!(comparison.better, [("t::c".into(), String::new())]);
    }

    #[test]
    fn a_race_is_told_by_its_words_from_other_failures_of_the_test() {
        let race = "open::etxtbsy FAILED\n\tcalled `Result::unwrap_err()` on an `Ok` value: 3\n";
        let other = "open::etxtbsy FAILED\n\tassertion `left == right` failed\n";
        let passed = "open::etxtbsy ok\n";
        let run = |line: &str| {
            let (failed, passed) = if line == passed { (0, 1) } else { (1, 0) };
            let summary = format!("Summary: {failed} failed, 0 skipped, {passed} passed");
            let output = format!("{line}{summary}, 0 expected failures, 1 total\n");
            Outcomes::parse(&output).unwrap()
        };
        let of = |ours, peer| Comparison::of(&run(ours), &run(peer));
        let raced = of(race, passed);
        assert_eq!((raced.races.len(), raced.worse.len()), (1, 0));
        assert_eq!(of(other, passed).worse.len(), 1);
        assert_eq!(of(other, race).worse.len(), 1);
        assert_eq!(of(passed, race), Comparison::default());
    }

    #[test]
    fn what_the_peer_did_not_run_is_no_excuse() {
        assert_eq!(worse(&[("a", "FAILED")], &[("a", "skipped")]), ["t::a"]);
        assert_eq!(
            worse(&[("a", "FAILED"), ("b", "ok")], &[("b", "ok")]),
            ["t::a"]
        );
    }

    #[test]
    fn what_only_the_peer_ran_counts_as_failed() {
        assert_eq!(worse(&[("a", "skipped")], &[("a", "ok")]), ["t::a"]);
        assert_eq!(worse(&[("b", "ok")], &[("a", "ok"), ("b", "ok")]), ["t::a"]);
        assert_eq!(worse(&[("a", "skipped")], &[("a", "skipped")]), [""; 0]);
    }
}
