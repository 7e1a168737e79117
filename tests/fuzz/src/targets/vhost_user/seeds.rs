// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! vhost-user sessions: QEMU's start, each message once, and each answer on the channel.

use vhost::vhost_user::message::{BackendReq, FrontendReq};
use virtiofs_driver::{Body, FileOffset, NodeId, WindowOffset};

use super::{Input, Operation};
use crate::guest::fs::Options;
use crate::guest::message;
use crate::input::{Bytes, Program};
use crate::targets::Seed;

fn request(node: NodeId, body: Body<'_>) -> Operation {
    Operation::Request {
        bytes: Bytes(message::request(node, body)),
    }
}

fn init() -> Operation {
    Operation::Request {
        bytes: Bytes(message::init()),
    }
}

fn answer(code: BackendReq, value: u8) -> Operation {
    Operation::Answer {
        code: code as u8,
        flags: 0,
        value,
    }
}

/// Answers to the first mapping.
fn mapped() -> Vec<Operation> {
    vec![
        answer(BackendReq::SHARED_OBJECT_REMOVE, 1),
        answer(BackendReq::SHMEM_MAP, 0),
        answer(BackendReq::SHARED_OBJECT_REMOVE, 1),
    ]
}

fn send(code: FrontendReq, descriptors: u8, body: &[u64]) -> Operation {
    Operation::Message {
        code: code as u8,
        flags: 2,
        descriptors,
        more: 0,
        body: Bytes(body.iter().copied().flat_map(u64::to_ne_bytes).collect()),
    }
}

fn endings() -> Vec<(&'static str, Vec<Operation>)> {
    let state = |number: u64| 1 | number << 32;
    let at = WindowOffset(0);
    let map = || {
        let body = Body::setup_mapping(FileOffset(0), 4096, at, true);
        request(NodeId(2), body)
    };
    let unmap = || request(NodeId(0), Body::remove_mapping(&[(at, 4096)]));
    let region = [0, 1 << 40, 4096, 0x6000_0000_0000, 0];
    vec![
        ("start", vec![]),
        ("mapping", [mapped(), vec![map()]].concat()),
        ("unmapping", {
            let removed = vec![
                answer(BackendReq::SHMEM_UNMAP, 0),
                answer(BackendReq::SHARED_OBJECT_REMOVE, 1),
            ];
            [mapped(), vec![map()], removed, vec![unmap()]].concat()
        }),
        (
            "refused",
            vec![
                answer(BackendReq::SHARED_OBJECT_REMOVE, 1),
                answer(BackendReq::SHMEM_MAP, 22),
                map(),
            ],
        ),
        (
            "acknowledged",
            vec![answer(BackendReq::SHARED_OBJECT_REMOVE, 0), map()],
        ),
        (
            "unanswered",
            vec![map(), send(FrontendReq::GET_VRING_BASE, 0, &[1])],
        ),
        ("hung", vec![Operation::Hang {}, map()]),
        (
            "nonsense",
            vec![
                Operation::AnswerRaw {
                    descriptors: 2,
                    bytes: Bytes(vec![9; 20]),
                },
                map(),
            ],
        ),
        (
            "stop",
            vec![
                send(FrontendReq::SET_VRING_ENABLE, 0, &[state(0)]),
                send(FrontendReq::GET_VRING_BASE, 0, &[1]),
                send(FrontendReq::RESET_DEVICE, 0, &[]),
                Operation::Start {
                    without: 0b0000_0111,
                },
                init(),
            ],
        ),
        (
            "regions",
            vec![
                send(FrontendReq::GET_MAX_MEM_SLOTS, 0, &[]),
                send(FrontendReq::ADD_MEM_REG, 1, &region),
                request(NodeId::ROOT, Body::lookup("dir")),
                send(FrontendReq::REM_MEM_REG, 1, &region),
            ],
        ),
        (
            "config",
            vec![
                Operation::Message {
                    code: FrontendReq::GET_CONFIG as u8,
                    flags: 0,
                    descriptors: 0,
                    more: 0,
                    body: Bytes([vec![0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0], vec![0; 44]].concat()),
                },
                send(FrontendReq::GET_QUEUE_NUM, 0, &[]),
            ],
        ),
        (
            "log",
            vec![
                send(FrontendReq::SET_LOG_BASE, 1, &[4096, 0]),
                send(FrontendReq::SET_FEATURES, 0, &[1 << 30 | 1 << 26 | 1 << 32]),
                request(NodeId::ROOT, Body::lookup("file")),
            ],
        ),
        (
            "state",
            vec![
                send(FrontendReq::SET_DEVICE_STATE_FD, 6, &[0]),
                send(FrontendReq::CHECK_DEVICE_STATE, 0, &[]),
            ],
        ),
        ("truncated", vec![Operation::Truncate { pages: 2 }, init()]),
        (
            "raw",
            vec![Operation::Raw {
                descriptors: 3,
                bytes: Bytes(vec![1; 30]),
            }],
        ),
        ("destroy", vec![request(NodeId(0), Body::destroy())]),
    ]
}

/// All seeds.
pub(super) fn seeds() -> Vec<Seed> {
    endings()
        .into_iter()
        .map(|(name, ending)| {
            let mut operations = vec![
                Operation::Start { without: 0 },
                init(),
                request(NodeId::ROOT, Body::lookup("file")),
            ];
            operations.extend(ending);
            let input = Input {
                options: Options {
                    attributes: 0,
                    files: if name == "state" { 0x80 } else { 0 },
                },
                program: Program(operations),
            };
            Seed::new(name, &input)
        })
        .collect()
}
