// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Computes rates from several looks.

use std::collections::VecDeque;

use super::seen::{Seen, Totals};

/// The number of looks that are kept: one for each column of the widest plot.
const KEPT: usize = 240;
/// The shortest time for a rate, in milliseconds: a shorter one gives noise.
const OVER: u64 = 1000;

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Ranges mapped.
    Maps,
    /// Ranges unmapped.
    Unmaps,
    /// Requests.
    Requests,
    /// Bytes of file data through FUSE, both ways.
    Bytes,
}

impl Counted {
    /// In the order of the screen.
    pub const ALL: [Self; 4] = [Self::Maps, Self::Unmaps, Self::Requests, Self::Bytes];

    fn of(self, totals: &Totals) -> u64 {
        match self {
            Self::Maps => totals.maps,
            Self::Unmaps => totals.unmaps,
            Self::Requests => totals.requests,
            Self::Bytes => totals.read_bytes + totals.written_bytes,
        }
    }
}

/// The recent looks.
#[derive(Debug, Default)]
pub struct History {
    started: f64,
    looks: VecDeque<(u64, Totals)>,
}

impl History {
    /// Adds a look. The looks of an earlier daemon are dropped.
    pub fn add(&mut self, seen: &Seen) {
        if self.started != seen.started {
            self.started = seen.started;
            self.looks.clear();
        }
        if self.looks.len() == KEPT {
            self.looks.pop_front();
        }
        self.looks.push_back((seen.now_ms, seen.totals.clone()));
    }

    /// The rates of a counter per second, the latest last.
    pub fn rates(&self, counted: Counted) -> Vec<f64> {
        (1..self.looks.len())
            .map(|at| self.rate(counted, at))
            .collect()
    }

    fn rate(&self, counted: Counted, at: usize) -> f64 {
        let (now, totals) = &self.looks[at];
        let long_ago = |then: &&(u64, Totals)| now - then.0 >= OVER;
        let before = self.looks.iter().take(at).rev();
        let Some((then, earlier)) = before.clone().find(long_ago).or_else(|| self.looks.front())
        else {
            return 0.0;
        };
        if now <= then {
            return 0.0;
        }
        let events = counted.of(totals).saturating_sub(counted.of(earlier));
        events as f64 * 1000.0 / (now - then) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::seen::tests::busy;

    fn look(at: u64, maps: u64) -> Seen {
        let mut seen = busy();
        seen.now_ms = at;
        seen.totals.maps = maps;
        seen
    }

    #[test]
    fn a_rate_is_over_a_second_or_what_there_is() {
        let mut history = History::default();
        for (at, maps) in [(0, 0), (500, 50), (1000, 100), (1500, 100), (2000, 100)] {
            history.add(&look(at, maps));
        }
        assert_eq!(history.rates(Counted::Maps), [100.0, 100.0, 50.0, 0.0]);
        assert_eq!(history.rates(Counted::Bytes), [0.0; 4]);
    }

    #[test]
    fn another_daemon_is_another_history() {
        let mut history = History::default();
        history.add(&look(90_000, 700));
        let mut next = look(100, 1);
        next.started += 1000.0;
        history.add(&next);
        assert!(history.rates(Counted::Maps).is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for at in 0..2 * KEPT as u64 {
            history.add(&look(at * 500, at));
        }
        assert_eq!(history.rates(Counted::Maps).len(), KEPT - 1);
    }
}
