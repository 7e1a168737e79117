// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Queues as a driver fills them, and each error of a driver once.

use virtiofs_driver::{Body, FileOffset, NodeId, WindowOffset};

use super::{Input, Operation, Place};
use crate::guest::fs::Options;
use crate::guest::message;
use crate::input::{Bytes, Program};
use crate::targets::Seed;

const NEXT: u8 = 1;
const WRITE: u8 = 2;
const INDIRECT: u8 = 4;
/// Places of `machine::PLACES`.
const REQUEST: u8 = 0;
const REPLY: u8 = 1;
const TABLE: u8 = 2;
const AVAIL: u8 = 3;
const USED: u8 = 4;
const INDIRECT_TABLE: u8 = 5;
const MIDDLE: u8 = 6;
const END: u8 = 7;

fn at(near: u8, offset: i16) -> Place {
    Place { near, offset }
}

fn describe(index: u8, at: Place, len: u16, flags: u8, next: u8) -> Operation {
    Operation::Describe {
        index,
        at,
        len,
        flags,
        next,
    }
}

/// A request in memory, and its chain of two descriptors.
fn request(bytes: Vec<u8>) -> Vec<Operation> {
    let len = bytes.len() as u16;
    vec![
        Operation::Poke {
            at: at(REQUEST, 0),
            bytes: Bytes(bytes),
        },
        describe(0, at(REQUEST, 0), len, NEXT, 1),
        describe(1, at(REPLY, 0), 256, WRITE, 0),
        Operation::Offer { head: 0 },
        Operation::Kick {},
    ]
}

/// Continuations after INIT.
fn continuations() -> Vec<(&'static str, Vec<Operation>)> {
    let offer = |head| Operation::Offer { head };
    let indirect = |index, place, len, flags, next| Operation::DescribeIndirect {
        index,
        at: place,
        len,
        flags,
        next,
    };
    let mapping = Body::setup_mapping(FileOffset(0), 4096, WindowOffset(0), true);
    vec![
        (
            "lookup",
            request(message::request(NodeId::ROOT, Body::lookup("file"))),
        ),
        ("mapping", request(message::request(NodeId::ROOT, mapping))),
        (
            "indirect",
            vec![
                indirect(0, at(REQUEST, 0), 40, NEXT, 1),
                indirect(1, at(REPLY, 0), 256, WRITE, 0),
                describe(2, at(INDIRECT_TABLE, 0), 32, INDIRECT, 0),
                offer(2),
            ],
        ),
        (
            "loop",
            vec![describe(0, at(REQUEST, 0), 40, NEXT, 0), offer(0)],
        ),
        (
            "table-in-itself",
            vec![
                indirect(0, at(INDIRECT_TABLE, 0), 16, INDIRECT, 0),
                describe(0, at(INDIRECT_TABLE, 0), 16, INDIRECT, 0),
                offer(0),
            ],
        ),
        (
            "huge",
            vec![
                describe(0, at(REQUEST, 0), 40, NEXT, 1),
                describe(1, at(REPLY, 0), 0, WRITE, 0),
                Operation::Lengthen {
                    index: 1,
                    len: u32::MAX,
                },
                offer(0),
            ],
        ),
        (
            "outside",
            vec![describe(0, at(END, -8), 40, NEXT, 1), offer(0)],
        ),
        (
            "reply-on-table",
            vec![describe(1, at(TABLE, 0), 256, WRITE, 0), offer(0)],
        ),
        (
            "reply-on-used",
            vec![describe(1, at(USED, 0), 256, WRITE, 0), offer(0)],
        ),
        (
            "reply-on-available",
            vec![describe(1, at(AVAIL, 0), 256, WRITE, 0), offer(0)],
        ),
        ("over-regions", {
            let mut operations = vec![Operation::Memory { kind: 1 }];
            operations.push(describe(1, at(MIDDLE, -20), 256, WRITE, 0));
            operations.push(offer(0));
            operations
        }),
        ("ahead", vec![Operation::Available { index: 9000 }]),
        (
            "any-head",
            vec![Operation::OfferAny { head: 500 }, offer(0)],
        ),
        ("twice", vec![offer(0), offer(0), offer(0)]),
        (
            "paused",
            vec![
                Operation::Stop {},
                offer(0),
                Operation::Kick {},
                Operation::Resume {},
            ],
        ),
        (
            "moved",
            vec![
                Operation::Reset {},
                Operation::Start {
                    size: 8,
                    table: at(TABLE, 0),
                    avail: at(AVAIL, 0),
                    used: at(USED, 0),
                    base: 0,
                },
                offer(0),
            ],
        ),
        (
            "events",
            vec![
                Operation::EventIndex { enabled: 1 },
                Operation::UsedEvent { index: 1 },
                offer(0),
                Operation::Kick {},
                Operation::AvailableFlags { flags: 1 },
                offer(0),
            ],
        ),
        (
            "no-memory",
            vec![Operation::Memory { kind: 5 }, offer(0), Operation::Kick {}],
        ),
        (
            "migration",
            vec![
                Operation::Logging { enabled: 1 },
                offer(0),
                Operation::Enable { enabled: 0 },
            ],
        ),
    ]
}

/// All seeds.
pub(super) fn seeds() -> Vec<Seed> {
    continuations()
        .into_iter()
        .map(|(name, continuation)| {
            let mut operations = request(message::init());
            operations.extend(continuation);
            let input = Input {
                options: Options::DEFAULT,
                program: Program(operations),
            };
            Seed::new(name, &input)
        })
        .collect()
}
