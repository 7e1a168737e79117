// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Windows: each operation before a mapping and after it.

use super::Level;
use super::daemon::Operation;
use super::library::{Ask, Request};
use crate::input::{Encode, Program};
use crate::targets::Seed;

struct Leveled<T>(Level, Program<T>);

impl<T: Encode> Encode for Leveled<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.0.encode(to);
        self.1.encode(to);
    }
}

fn daemon() -> Vec<Seed> {
    let setup = |at, file, from, write| Operation::Setup {
        at,
        pages: 2,
        file,
        from,
        write,
    };
    let remove = |at| Operation::Remove {
        at,
        pages: 2,
        more_at: 0,
        more_pages: 0,
    };
    let store = |page| Operation::Store { page, byte: 7 };
    let endings = vec![
        ("remove", vec![remove(2)]),
        ("upgrade", vec![setup(2, 0, 0, 1), store(2)]),
        ("replace", vec![setup(2, 1, 4, 0), store(3)]),
        ("overlap", vec![setup(3, 1, 4, 0)]),
        (
            "cut",
            vec![Operation::Resize { file: 0, pages: 1 }, store(3), remove(2)],
        ),
        (
            "grow",
            vec![
                Operation::Resize { file: 0, pages: 0 },
                Operation::Resize { file: 0, pages: 9 },
            ],
        ),
        (
            "forget",
            vec![
                Operation::Forget { file: 0, count: 1 },
                setup(4, 0, 2, 1),
                remove(2),
            ],
        ),
        (
            "forget-mapped",
            vec![
                Operation::Forget { file: 0, count: 1 },
                Operation::Lookup { file: 0 },
                Operation::Resize { file: 0, pages: 1 },
            ],
        ),
        (
            "open",
            vec![
                Operation::Open { file: 0 },
                Operation::Write { page: 1, byte: 9 },
                Operation::Release {},
                Operation::Lookup { file: 0 },
            ],
        ),
        ("init", vec![Operation::Init {}, setup(0, 2, 0, 0)]),
        (
            "destroy",
            vec![Operation::Destroy {}, remove(2), Operation::Init {}],
        ),
        (
            "reset",
            vec![Operation::Reset {}, Operation::Init {}, setup(2, 0, 2, 1)],
        ),
        (
            "full",
            vec![
                Operation::Regions { full: 1 },
                setup(4, 0, 0, 1),
                setup(2, 1, 0, 1),
            ],
        ),
        (
            "unknown",
            vec![Operation::SetupUnknown { node: 200, at: 0 }],
        ),
    ];
    endings
        .into_iter()
        .map(|(name, ending)| {
            let mut operations = vec![setup(2, 0, 0, 0), store(2)];
            operations.extend(ending);
            let input = Leveled(Level::Daemon {}, Program(operations));
            Seed::new(format!("daemon-{name}"), &input)
        })
        .collect()
}

fn library() -> Vec<Seed> {
    let setup = |at, file, faults| Request {
        ask: Ask::Setup {
            at,
            pages: 2,
            file,
            from: 0,
            flags: 1,
        },
        faults,
        failures: 0,
    };
    let well = |ask| Request {
        ask,
        faults: 0,
        failures: 0,
    };
    let remove = Ask::Remove {
        at: 2,
        pages: 2,
        more_at: 4,
        more_pages: 2,
    };
    (0..=4)
        .map(|fault| {
            let requests = vec![
                setup(2, 0, 0),
                well(Ask::Store { page: 2, byte: 5 }),
                setup(4, 1, fault),
                setup(2, 1, fault << 3),
                Request {
                    ask: remove.clone(),
                    faults: fault,
                    failures: 0,
                },
                well(Ask::Clear {}),
            ];
            let input = Leveled(Level::Library {}, Program(requests));
            Seed::new(format!("library-{fault}"), &input)
        })
        .collect()
}

/// All seeds.
pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = daemon();
    seeds.extend(library());
    seeds
}
