// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The points of a run.

mod point;

use guest_agent::workload::{Access, Files, Pattern, Temperature, Work};

pub use point::{Pins, Point, USUAL_FILE};

/// The extent of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A first answer.
    Quick,
    /// One property is varied at a time.
    Usual,
    /// All combinations.
    Full,
}

/// Sizes of working sets, in windows.
const TIMES: [f64; 7] = [0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0];
/// Sizes of files.
const FILES: [u64; 3] = [64 << 10, USUAL_FILE, 256 << 20];
const THREADS: [u32; 2] = [1, 4];
const TEMPERATURES: [Temperature; 2] = [Temperature::Cold, Temperature::Warm];

/// The points of a run with a window of this size. Points with the same files are adjacent.
pub fn points(extent: Extent, window: u64) -> Vec<Point> {
    let base = Base { window };
    let mut points = match extent {
        Extent::Quick => base.quick(),
        Extent::Usual => base.usual(),
        Extent::Full => base.full(),
    };
    let order = |size| FILES.iter().position(|one| *one == size);
    points.sort_by_key(|point| order(point.work.files.size));
    points
}

struct Base {
    window: u64,
}

impl Base {
    fn at(&self, access: Access, temperature: Temperature, times: f64) -> Point {
        let working = (self.window as f64 * times) as u64;
        Point {
            work: Work {
                access,
                pattern: Pattern::Sequential,
                temperature,
                files: Files {
                    size: USUAL_FILE,
                    working,
                },
                threads: 1,
            },
            times,
            pins: Pins::None,
        }
    }

    fn quick(&self) -> Vec<Point> {
        use Access::{Extend, Load, Read};
        use Temperature::{Cold, Warm};
        let mut points = vec![
            self.at(Load, Cold, 0.5),
            self.at(Read, Warm, 0.5),
            self.at(Extend, Cold, 0.5),
            self.at(Read, Cold, 2.0),
            self.at(Read, Warm, 2.0),
            self.at(Load, Warm, 2.0),
        ];
        points.push(self.at(Load, Warm, 2.0).by(Pattern::Random));
        points
    }

    fn usual(&self) -> Vec<Point> {
        use Access::{Extend, Load, Read, Store, Write};
        use Temperature::{Cold, Warm};
        let mut points = Vec::new();
        for access in [Read, Load] {
            for temperature in TEMPERATURES {
                points.extend(TIMES.map(|times| self.at(access, temperature, times)));
            }
            for pattern in [Pattern::Random, Pattern::Zipf] {
                points.extend([0.5, 2.0].map(|times| self.at(access, Warm, times).by(pattern)));
            }
            points.push(self.at(access, Warm, 2.0).with_threads(4));
            for size in [FILES[0], FILES[2]] {
                points.push(self.at(access, Cold, 0.5).with_files(size));
                points.push(self.at(access, Warm, 2.0).with_files(size));
            }
            points.extend([Pins::Quarter, Pins::Most].map(|pins| Point {
                pins,
                ..self.at(access, Warm, 2.0)
            }));
        }
        for access in [Write, Store] {
            points.extend([0.5, 2.0].map(|times| self.at(access, Warm, times)));
        }
        points.extend([0.5, 2.0].map(|times| self.at(Extend, Cold, times)));
        points
    }

    fn full(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for (access, size) in Access::ALL
            .into_iter()
            .flat_map(|one| FILES.map(|two| (one, two)))
        {
            for (times, threads) in TIMES
                .into_iter()
                .flat_map(|one| THREADS.map(|two| (one, two)))
            {
                for &pins in Pins::ALL {
                    let at = |temperature| Point {
                        pins,
                        ..self
                            .at(access, temperature, times)
                            .with_files(size)
                            .with_threads(threads)
                    };
                    if access == Access::Extend {
                        // The work itself makes these files, so its size is the file's size.
                        if size == USUAL_FILE {
                            points.push(at(Temperature::Cold));
                        }
                        continue;
                    }
                    for pattern in Pattern::ALL {
                        points.extend(TEMPERATURES.map(|one| at(one).by(pattern)));
                    }
                }
            }
        }
        points
    }
}

impl Point {
    fn by(mut self, pattern: Pattern) -> Self {
        self.work.pattern = pattern;
        self
    }

    fn with_threads(mut self, threads: u32) -> Self {
        self.work.threads = threads;
        self
    }

    fn with_files(mut self, size: u64) -> Self {
        self.work.files.size = size;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const WINDOW: u64 = 32 << 20;

    #[test]
    fn each_point_has_a_name_of_its_own() {
        for extent in [Extent::Quick, Extent::Usual, Extent::Full] {
            let points = points(extent, WINDOW);
            let names: HashSet<String> = points.iter().map(Point::name).collect();
            assert_eq!(names.len(), points.len(), "{extent:?}");
        }
    }

    #[test]
    fn everything_is_in_the_usual_run() {
        let points = points(Extent::Usual, WINDOW);
        let has = |what: &dyn Fn(&Point) -> bool| points.iter().any(what);
        for times in TIMES {
            assert!(has(&|point| point.times == times));
        }
        for access in Access::ALL {
            assert!(has(&|point| point.work.access == access));
        }
        for pattern in Pattern::ALL {
            assert!(has(&|point| point.work.pattern == pattern));
        }
        for &pins in Pins::ALL {
            assert!(has(&|point| point.pins == pins));
        }
        for size in FILES {
            assert!(has(&|point| point.work.files.size == size));
        }
        assert!(has(&|point| point.work.threads == 4));
    }

    #[test]
    fn working_sets_are_whole_blocks() {
        for window in [2 << 20, 16 << 20, WINDOW] {
            for point in points(Extent::Full, window) {
                assert_eq!(point.work.files.working % (64 << 10), 0, "{}", point.name());
            }
        }
    }

    #[test]
    fn files_of_a_size_are_made_once() {
        let mut sizes: Vec<u64> = points(Extent::Full, WINDOW)
            .iter()
            .map(|point| point.work.files.size)
            .collect();
        sizes.dedup();
        assert_eq!(sizes, FILES);
    }
}
