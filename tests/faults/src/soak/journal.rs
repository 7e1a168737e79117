// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps of an episode so far.

use std::collections::VecDeque;

/// The number of steps that are kept.
const KEPT: usize = 60;

/// The last steps of an episode.
#[derive(Debug, Default)]
pub struct Journal {
    last: VecDeque<String>,
    steps: u64,
}

impl Journal {
    /// Records the beginning of a step.
    pub fn step(&mut self, what: String) {
        self.steps += 1;
        log::debug!("step {}: {what}", self.steps);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(what);
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The last steps, one numbered line each.
    pub fn lines(&self) -> Vec<String> {
        let first = self.steps - self.last.len() as u64 + 1;
        let numbered = (first..).zip(&self.last);
        numbered
            .map(|(number, what)| format!("{number:>5}  {what}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, KEPT};

    #[test]
    fn the_last_steps_are_kept() {
        let mut journal = Journal::default();
        (0..100).for_each(|number| journal.step(format!("do {number}")));
        let lines = journal.lines();
        assert_eq!((journal.steps(), lines.len()), (100, KEPT));
        assert_eq!(lines[0], "   41  do 40");
        assert_eq!(lines[KEPT - 1], "  100  do 99");
    }
}
