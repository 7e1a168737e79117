// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Zipf's law: of N things the k-th most wanted is wanted 1 / k^s as often as the first.

/// The exponent that storage benchmarks use.
const EXPONENT: f64 = 0.99;

/// Draws by Zipf's law. Which things are the most wanted is by chance, not by their order.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// How likely one of the first k is.
    up_to: Vec<f64>,
    /// The things by how much they are wanted.
    things: Vec<u64>,
}

impl Zipf {
    /// Of the things 0 to `count` - 1; `seed` says which of them are wanted the most.
    pub fn new(count: u64, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count.max(1)).map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        });
        let mut up_to: Vec<f64> = weights.collect();
        up_to.iter_mut().for_each(|one| *one /= sum);
        let mut things: Vec<u64> = (0..count.max(1)).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut things);
        Self { up_to, things }
    }

    /// One of them.
    pub fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        let at = random.f64();
        let rank = self.up_to.partition_point(|one| *one <= at);
        self.things[rank.min(self.things.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(zipf: &Zipf, draws: u32) -> Vec<u32> {
        let mut random = fastrand::Rng::with_seed(1);
        let mut counts = vec![0; zipf.things.len()];
        for _ in 0..draws {
            counts[zipf.draw(&mut random) as usize] += 1;
        }
        counts
    }

    #[test]
    fn the_most_wanted_come_as_often_as_the_law_says() {
        let zipf = Zipf::new(100, 5);
        let mut found = counts(&zipf, 200_000);
        assert!(found[zipf.things[0] as usize] > found[zipf.things[9] as usize]);
        found.sort_unstable_by(|a, b| b.cmp(a));
        let total: f64 = (1..=100).map(|k| f64::from(k).powf(-EXPONENT)).sum();
        for rank in [1, 2, 4, 10, 50] {
            let wanted = 200_000.0 * f64::from(rank).powf(-EXPONENT) / total;
            let off = f64::from(found[rank as usize - 1]) / wanted;
            assert!((0.9..1.1).contains(&off), "rank {rank}: {off}");
        }
    }

    #[test]
    fn one_thing_is_always_drawn() {
        assert_eq!(counts(&Zipf::new(1, 0), 10), [10]);
        assert_eq!(counts(&Zipf::new(0, 0), 10), [10]);
    }
}
