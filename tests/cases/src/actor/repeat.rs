// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Orders again and again, for races: a round trip to the host between two would be too slow.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::play::carry_out;
use super::{Belongings, Fault, Order, Verb};

/// Different answers that are told apart; more would be noise.
const KINDS: usize = 16;
/// Under what the others are counted.
const OTHERS: &str = "others";

/// Carries out orders in turn, a number of times. One that fails is counted and no reason to stop.
#[derive(Debug, Serialize, Deserialize)]
pub struct Repeat {
    /// How many rounds at most.
    pub times: u32,
    /// A file that ends it when it is there.
    pub until: Option<String>,
    /// What is done in each round.
    pub orders: Vec<Order>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// Rounds played.
    pub rounds: u32,
    /// How often each answer came: the answer's JSON, or the fault in words.
    pub answers: BTreeMap<String, u32>,
}

impl Order {
    /// The order for `verb`.
    ///
    /// # Panics
    ///
    /// Never: verbs are plain data.
    pub fn of<V: Verb>(verb: &V) -> Self {
        Self {
            verb: V::NAME.to_owned(),
            with: serde_json::to_value(verb).expect("a verb is plain data"),
        }
    }
}

impl Repeated {
    fn count(&mut self, verb: &str, answer: Result<serde_json::Value, Fault>) {
        let said = match answer {
            Ok(answer) => format!("{verb}: {answer}"),
            Err(fault) => format!("{verb} failed: {fault}"),
        };
        let full = self.answers.len() >= KINDS && !self.answers.contains_key(&said);
        let said = if full { OTHERS.to_owned() } else { said };
        *self.answers.entry(said).or_default() += 1;
    }
}

impl Verb for Repeat {
    const NAME: &'static str = "repeat";
    type Yield = Repeated;

    fn run(self, own: &mut Belongings) -> Result<Repeated, Fault> {
        let mut repeated = Repeated::default();
        let over =
            |until: &Option<String>| until.as_deref().is_some_and(|at| Path::new(at).exists());
        while repeated.rounds < self.times && !over(&self.until) {
            for order in &self.orders {
                let answer = carry_out(&order.verb, order.with.clone(), own);
                repeated.count(&order.verb, answer);
            }
            repeated.rounds += 1;
        }
        Ok(repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ReadAt;

    #[test]
    fn rounds_and_answers_are_counted_and_a_file_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, "abc").unwrap();
        let repeat = |path: &str, until: Option<String>| {
            let read = ReadAt {
                path: path.to_owned(),
                offset: 0,
                len: 2,
            };
            let orders = vec![Order::of(&read)];
            let times = 3;
            let verb = Repeat {
                times,
                until,
                orders,
            };
            verb.run(&mut Belongings::default()).unwrap()
        };
        let read = repeat(&path, None);
        assert_eq!((read.rounds, read.answers["read-at: 2"]), (3, 3));
        let failed = repeat("/no/such/file", None);
        assert!(failed.answers.keys().all(|said| said.contains("failed")));
        assert_eq!(repeat(&path, Some(path.clone())).rounds, 0);
    }
}
