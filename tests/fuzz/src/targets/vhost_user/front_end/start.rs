// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The messages with which QEMU starts a device.

use vhost::vhost_user::message::{FrontendReq, VhostUserProtocolFeatures, VhostUserVirtioFeatures};

use super::descriptors::{AVAIL, CALL, CHANNEL, KICK, MEMORY, MEMORY_FD, QUEUE_SIZE, TABLE, USED};
use super::{FrontEnd, VERSION, message};

/// The address of guest memory in the front end's address space, as it claims.
const USER_ADDRESS: u64 = 0x7000_0000_0000;
/// The first request queue.
const QUEUE: u32 = 1;

impl FrontEnd {
    /// Sends all of these messages, except those whose bits are set in `without`.
    pub(super) fn start(&mut self, without: u8) {
        for (index, (code, body, descriptor)) in messages().into_iter().enumerate() {
            let group = index as u32 / 2;
            if group < 8 && without & 1 << group != 0 {
                continue;
            }
            let bytes = message(code as u32, VERSION, &body);
            self.send(&bytes, descriptor, 0);
        }
    }
}

fn messages() -> Vec<(FrontendReq, Vec<u8>, u8)> {
    let state = |number: u32| [QUEUE, number].map(u32::to_le_bytes).concat();
    let numbers = |numbers: &[u64]| -> Vec<u8> {
        numbers.iter().copied().flat_map(u64::to_le_bytes).collect()
    };
    let protocol = VhostUserProtocolFeatures::all() - VhostUserProtocolFeatures::INFLIGHT_SHMFD;
    let features = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() | 1 << 32;
    let table = [
        [1_u32, 0].map(u32::to_le_bytes).concat(),
        numbers(&[0, MEMORY, USER_ADDRESS, 0]),
    ];
    let addresses = [
        [QUEUE, 0].map(u32::to_le_bytes).concat(),
        numbers(&[TABLE, USED, AVAIL].map(|at| USER_ADDRESS + at)),
        numbers(&[0]),
    ];
    vec![
        (FrontendReq::SET_OWNER, Vec::new(), 0),
        (FrontendReq::GET_FEATURES, Vec::new(), 0),
        (FrontendReq::GET_PROTOCOL_FEATURES, Vec::new(), 0),
        (
            FrontendReq::SET_PROTOCOL_FEATURES,
            numbers(&[protocol.bits()]),
            0,
        ),
        (FrontendReq::GET_SHMEM_CONFIG, Vec::new(), 0),
        (FrontendReq::SET_BACKEND_REQ_FD, Vec::new(), CHANNEL),
        (FrontendReq::SET_FEATURES, numbers(&[features]), 0),
        (FrontendReq::SET_MEM_TABLE, table.concat(), MEMORY_FD),
        (FrontendReq::SET_VRING_NUM, state(QUEUE_SIZE.into()), 0),
        (FrontendReq::SET_VRING_BASE, state(0), 0),
        (FrontendReq::SET_VRING_ADDR, addresses.concat(), 0),
        (FrontendReq::SET_VRING_CALL, numbers(&[QUEUE.into()]), CALL),
        (FrontendReq::SET_VRING_KICK, numbers(&[QUEUE.into()]), KICK),
        (FrontendReq::SET_VRING_ENABLE, state(1), 0),
    ]
}
