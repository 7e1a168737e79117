// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order in which a thread goes through a working set.

use super::{Pattern, Work, Zipf};

/// Block after block, without an end.
#[derive(Clone, Debug)]
pub struct Walk {
    way: Way,
    block: u64,
    /// Accesses that are as many bytes as this thread's part of the working set.
    pub pass: u64,
}

#[derive(Clone, Debug)]
enum Way {
    Sequential {
        from: u64,
        to: u64,
        next: u64,
    },
    Random {
        blocks: u64,
        random: fastrand::Rng,
    },
    Zipf {
        zipf: Zipf,
        in_piece: u64,
        piece: u64,
        random: fastrand::Rng,
    },
}

impl Walk {
    /// The way of one of the threads; `seed` decides what is left to chance.
    pub fn new(work: &Work, thread: u32, seed: u64) -> Self {
        let block = work.block();
        let blocks = work.files.working / block;
        let threads = u64::from(work.threads.max(1));
        let at = |thread: u64| thread * blocks / threads;
        let (from, to) = (at(thread.into()), at(u64::from(thread) + 1));
        let random = fastrand::Rng::with_seed(seed ^ u64::from(thread) << 32);
        let way = match work.pattern {
            Pattern::Sequential => Way::Sequential {
                from,
                to,
                next: from,
            },
            Pattern::Random => Way::Random { blocks, random },
            Pattern::Zipf => {
                let piece = work.files.piece();
                Way::Zipf {
                    zipf: Zipf::new(work.files.working / piece, seed),
                    in_piece: (piece / block).max(1),
                    piece,
                    random,
                }
            }
        };
        Self {
            way,
            block,
            pass: (to - from).max(1),
        }
    }

    /// Where in the working set the next block is.
    pub fn step(&mut self) -> u64 {
        let block = self.block;
        match &mut self.way {
            Way::Sequential { from, to, next } => {
                let here = *next;
                *next = if here + 1 < *to { here + 1 } else { *from };
                here * block
            }
            Way::Random { blocks, random } => random.u64(..*blocks) * block,
            Way::Zipf {
                zipf,
                in_piece,
                piece,
                random,
            } => zipf.draw(random) * *piece + random.u64(..*in_piece) * block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Access, Files, Temperature};

    fn work(pattern: Pattern, threads: u32) -> Work {
        Work {
            access: Access::Load,
            pattern,
            temperature: Temperature::Warm,
            files: Files {
                size: 4 << 20,
                working: 16 << 20,
            },
            threads,
        }
    }

    #[test]
    fn threads_share_a_sequence() {
        let work = work(Pattern::Sequential, 4);
        let mut all: Vec<u64> = Vec::new();
        for thread in 0..4 {
            let mut walk = Walk::new(&work, thread, 0);
            let first = walk.step();
            all.push(first);
            all.extend((1..walk.pass).map(|_| walk.step()));
            assert_eq!(walk.step(), first, "it begins anew");
        }
        let wanted: Vec<u64> = (0..16 << 20).step_by(4096).collect();
        assert_eq!(all, wanted);
    }

    #[test]
    fn chance_stays_within_the_working_set_and_reaches_all_of_it() {
        for pattern in [Pattern::Random, Pattern::Zipf] {
            let mut walk = Walk::new(&work(pattern, 1), 0, 3);
            let mut pieces = [0_u32; 8];
            for _ in 0..20_000 {
                let offset = walk.step();
                assert!(offset < 16 << 20 && offset.is_multiple_of(4096));
                pieces[(offset >> 21) as usize] += 1;
            }
            assert!(
                pieces.iter().all(|count| *count > 0),
                "{pattern:?} {pieces:?}"
            );
            let (most, least) = (pieces.iter().max(), pieces.iter().min());
            let skew = f64::from(*most.unwrap()) / f64::from(*least.unwrap());
            assert_eq!(skew > 3.0, pattern == Pattern::Zipf, "{skew}");
        }
    }
}
