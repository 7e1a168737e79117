// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The properties of every reply.

use virtiofsd::fuse::Opcode;

/// Bytes of a reply's header: length, error, unique.
const HEADER: usize = 16;
/// Bytes of a request's header.
const REQUEST_HEADER: usize = 40;

/// Checks the reply of `len` bytes in `room` to `request`.
///
/// # Errors
/// What is wrong with the reply.
pub fn check(request: &[u8], room: &[u8], len: u32) -> Result<(), String> {
    let len = len as usize;
    if len > room.len() {
        return Err(format!(
            "a reply of {len} bytes, where there is room for {}",
            room.len()
        ));
    }
    if len == 0 {
        return if is_answerable(request) && room.len() >= HEADER {
            Err("no reply, where there is room for one".to_owned())
        } else {
            Ok(())
        };
    }
    if len < HEADER {
        return Err(format!("a reply of {len} bytes, which is no header"));
    }
    let word = |at: usize| u32::from_ne_bytes(room[at..at + 4].try_into().expect("4 bytes"));
    let (said, error) = (word(0) as usize, word(4).cast_signed());
    if said != len {
        return Err(format!("a reply of {len} bytes that says it has {said}"));
    }
    if !(-4095..=0).contains(&error) {
        return Err(format!("error {error} is none"));
    }
    if error != 0 && len != HEADER {
        return Err(format!(
            "error {error} with a body of {} bytes",
            len - HEADER
        ));
    }
    match request.get(8..16) {
        Some(unique) if unique == &room[8..16] => Ok(()),
        unique => Err(format!(
            "the reply to {unique:?} is about {:?}",
            &room[8..16]
        )),
    }
}

/// Whether a request must be answered if there is room: all requests with a header, except those
/// that FUSE leaves without a reply.
fn is_answerable(request: &[u8]) -> bool {
    if request.len() < REQUEST_HEADER {
        return false;
    }
    let opcode = u32::from_ne_bytes(request[4..8].try_into().expect("4 bytes"));
    let silent = [
        Opcode::Forget,
        Opcode::BatchForget,
        Opcode::Interrupt,
        Opcode::Destroy,
    ];
    !silent.into_iter().any(|silent| silent as u32 == opcode)
}
