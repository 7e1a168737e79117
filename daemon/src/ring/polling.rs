// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether a queue's thread watches its ring for the next request before it sleeps.
//!
//! A guest that waits for each reply sends its next request a few microseconds later. A thread that
//! still looks at the ring then takes the request without a kick and without being woken, which costs
//! more than a GETATTR. Watching costs processor time, so it is given up where it does not pay:
//!
//! - If no request came while the thread watched, it skips the next times, twice as many each time. A
//!   request that comes soon after the ring ran empty ends that.
//! - Where driver and daemon share a processor, each watch delays what it waits for. Only a comparison
//!   shows that. So now and then a block of requests is served the other way, between two blocks that
//!   are served as before, and the quicker way is kept.
//! - The thread serves other events too. It goes back to them after [`TURN`].
//!
//! Owner: the queue's thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::PollTimes;

/// How long a thread may stay with one ring that it watches.
const TURN: Duration = Duration::from_millis(1);
/// Requests of a block.
const BLOCK: u32 = 256;
/// The guest was idle in a longer gap, which says nothing about the time of requests.
const IDLE: Duration = Duration::from_millis(1);
/// Blocks from one comparison to the next: at first, and at most.
const SOON: u32 = 16;
const LATE: u32 = 256;
/// The most times that are skipped, as a power of two.
const MOST_MISSES: u32 = 6;
/// How much the last comparison counts.
const WEIGHT: f64 = 0.25;
/// One comparison, as the logarithm of a ratio, counts for no more.
const CLAMP: f64 = 0.3;
/// Within this both ways are equally quick, and nothing is changed.
const TIE: f64 = 0.01;

/// The state of polling on one ring. See the module's documentation.
#[derive(Debug)]
pub(crate) struct Polling {
    limit: Duration,
    /// When the thread came from its events to this ring.
    since: Instant,
    /// When the ring was last found empty, or a request was seen after that.
    last: Instant,
    misses: u32,
    /// Watches still to be left out.
    left_out: u32,
    comparison: Comparison,
}

impl Polling {
    /// Watches for at most `limit`.
    pub(crate) fn new(limit: Duration, times: Arc<PollTimes>, now: Instant) -> Self {
        Self {
            limit,
            since: now,
            last: now,
            misses: 0,
            left_out: 0,
            comparison: Comparison::new(times),
        }
    }

    /// The thread was woken for the ring.
    pub(crate) fn begin(&mut self, now: Instant) {
        let gap = now - self.last;
        self.since = now;
        self.gap(gap);
        if gap <= self.limit {
            self.left_out = 0;
        }
    }

    /// The ring is empty after `requests` were served. Returns until when to watch it; none to sleep.
    pub(crate) fn ran_empty(&mut self, requests: u32, now: Instant) -> Option<Instant> {
        self.comparison.add(requests, now - self.last);
        self.last = now;
        if requests == 0 || now - self.since >= TURN || !self.comparison.polls() {
            return None;
        }
        if self.left_out > 0 {
            self.left_out -= 1;
            return None;
        }
        Some(now + self.limit)
    }

    /// A request came while the ring was watched.
    pub(crate) fn hit(&mut self, now: Instant) {
        self.gap(now - self.last);
        self.misses = 0;
    }

    /// No request came while the ring was watched.
    pub(crate) fn miss(&mut self) {
        self.misses = (self.misses + 1).min(MOST_MISSES);
        self.left_out = 1 << self.misses;
    }

    fn gap(&mut self, gap: Duration) {
        if gap < IDLE {
            self.comparison.add(0, gap);
        }
        self.last += gap;
    }
}

/// Which of the blocks of a comparison is being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// None: so many blocks are left until the next comparison.
    Between(u32),
    /// The first, served as before.
    Before,
    /// The second, served the other way.
    Other,
    /// The third, served as before.
    After,
}

/// Compares the time of requests with polling and without.
#[derive(Debug)]
struct Comparison {
    times: Arc<PollTimes>,
    /// Whether polling is the quicker way, as far as is known.
    pays: bool,
    /// The logarithm of the time without polling over the time with it, a moving average.
    advantage: Option<f64>,
    interval: u32,
    place: Place,
    requests: u32,
    time: Duration,
    before: Duration,
    other: Duration,
}

impl Comparison {
    fn new(times: Arc<PollTimes>) -> Self {
        Self {
            times,
            pays: true,
            advantage: None,
            interval: SOON,
            place: Place::Between(1),
            requests: 0,
            time: Duration::ZERO,
            before: Duration::ZERO,
            other: Duration::ZERO,
        }
    }

    /// Whether this block is served with polling.
    fn polls(&self) -> bool {
        self.pays != (self.place == Place::Other)
    }

    fn add(&mut self, requests: u32, time: Duration) {
        self.requests += requests;
        self.time += time;
        if self.requests >= BLOCK {
            let each = self.time / self.requests;
            self.requests = 0;
            self.time = Duration::ZERO;
            self.end_block(each);
        }
    }

    fn end_block(&mut self, each: Duration) {
        self.times.set(self.polls(), each);
        self.place = match self.place {
            Place::Between(0) => Place::Before,
            Place::Between(left) => Place::Between(left - 1),
            Place::Before => {
                self.before = each;
                Place::Other
            }
            Place::Other => {
                self.other = each;
                Place::After
            }
            Place::After => {
                self.judge((self.before + each) / 2);
                Place::Between(self.interval)
            }
        };
    }

    fn judge(&mut self, as_before: Duration) {
        let ratio = (self.other.as_secs_f64() / as_before.as_secs_f64()).ln();
        let advantage = if self.pays { ratio } else { -ratio }.clamp(-CLAMP, CLAMP);
        let average = self.advantage.map_or(advantage, |average| {
            average + WEIGHT * (advantage - average)
        });
        self.advantage = Some(average);
        let pays = average > if self.pays { -TIE } else { TIE };
        // Compared again soon if this contradicts what was known.
        let clear = pays == self.pays && (pays == (advantage > 0.0) || advantage.abs() < TIE);
        self.interval = if clear {
            (2 * self.interval).min(LATE)
        } else {
            SOON
        };
        self.pays = pays;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);
    const SERVICE: Duration = Duration::from_micros(3);

    /// A guest that sends one request at a time, on a clock that does not run by itself.
    struct Case {
        polling: Polling,
        times: Arc<PollTimes>,
        now: Instant,
        watched: Duration,
    }

    impl Case {
        fn new() -> Self {
            let (now, times) = (Instant::now(), Arc::<PollTimes>::default());
            Self {
                polling: Polling::new(LIMIT, Arc::clone(&times), now),
                times,
                now,
                watched: Duration::ZERO,
            }
        }

        /// Serves a request. The next one comes after `watched` if the ring is watched that long, and
        /// after `asleep` if the thread sleeps. Returns whether the ring was watched.
        fn serve(&mut self, watched: Duration, asleep: Duration) -> bool {
            self.now += SERVICE;
            let Some(until) = self.polling.ran_empty(1, self.now) else {
                self.now += asleep;
                self.polling.begin(self.now);
                return false;
            };
            let limit = until - self.now;
            self.watched += watched.min(limit);
            if watched <= limit {
                self.now += watched;
                self.polling.hit(self.now);
                return true;
            }
            self.now += limit;
            self.polling.miss();
            self.now += asleep.saturating_sub(limit);
            self.polling.begin(self.now);
            true
        }

        /// The share of `requests` after which the ring was watched.
        fn share_watched(&mut self, requests: u32, watched: Duration, asleep: Duration) -> f64 {
            let count = (0..requests)
                .filter(|_| self.serve(watched, asleep))
                .count();
            count as f64 / f64::from(requests)
        }
    }

    fn micros(number: u64) -> Duration {
        Duration::from_micros(number)
    }

    #[test]
    fn a_guest_that_comes_back_at_once_is_watched_for() {
        let mut case = Case::new();
        let share = case.share_watched(100_000, micros(5), micros(15));
        assert!(share > 0.95, "{share}");
        // A turn ends with each millisecond, so some requests of each block are woken for.
        let with = case.times.get(true).expect("many blocks");
        assert!((micros(8)..micros(9)).contains(&with), "{with:?}");
        assert_eq!(case.times.get(false), Some(micros(18)));
    }

    #[test]
    fn a_guest_that_comes_now_and_then_costs_next_to_nothing() {
        for gap in [60, 100, 1000, 100_000].map(micros) {
            let mut case = Case::new();
            let begin = case.now;
            case.share_watched(2000, gap, gap);
            let share = case.watched.as_secs_f64() / (case.now - begin).as_secs_f64();
            assert!(share < 0.02, "gap {gap:?}: {share}");
            // A burst is noticed at its first request that comes soon.
            case.serve(micros(5), micros(15));
            assert!(case.serve(micros(5), micros(15)), "gap {gap:?}");
        }
    }

    #[test]
    fn where_each_watch_delays_the_guest_it_is_given_up() {
        let mut case = Case::new();
        case.share_watched(8 * BLOCK, micros(20), micros(15));
        let share = case.share_watched(100_000, micros(20), micros(15));
        assert!(share < 0.03, "{share}");
        // The processor is free again.
        let share = case.share_watched(200_000, micros(5), micros(15));
        assert!(share > 0.3, "{share}");
    }

    #[test]
    fn a_block_with_an_outlier_changes_nothing_that_is_well_known() {
        let mut case = Case::new();
        case.share_watched(100_000, micros(5), micros(15));
        case.polling.comparison.before = micros(8);
        case.polling.comparison.other = micros(1);
        case.polling.comparison.judge(micros(8));
        assert!(case.polling.comparison.pays);
    }

    #[test]
    fn the_thread_goes_back_to_its_other_events() {
        let mut case = Case::new();
        let mut longest = Duration::ZERO;
        let mut since = case.now;
        for _ in 0..10_000 {
            if !case.serve(micros(5), micros(15)) {
                since = case.now;
            }
            longest = longest.max(case.now - since);
        }
        assert!(longest <= TURN + micros(16), "{longest:?}");
    }

    #[test]
    fn an_empty_ring_is_not_watched_again_and_again() {
        let mut case = Case::new();
        assert!(case.polling.ran_empty(1, case.now).is_some());
        case.polling.miss();
        assert!(case.polling.ran_empty(0, case.now).is_none());
    }
}
