// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `GET_SHMEM_CONFIG`, which the vhost crate's front end has no call for.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use vhost::vhost_user::Frontend;

/// The request's number (vhost-user, "Front-end message types").
const GET_SHMEM_CONFIG: u32 = 44;
/// The protocol's version, in the lowest bits of a header's flags.
const VERSION: u32 = 1;
/// Request, flags and size of the payload, 32 bits each.
const HEADER: usize = 12;
/// Number of regions and padding, 32 bits each, and then the sizes of 256 regions.
const PAYLOAD: usize = 8 + 256 * 8;

/// Asks for the size of the first shared memory region, as QEMU does when its device has a window.
/// No other request may be under way.
pub(super) fn first_size(frontend: &Frontend) -> u64 {
    // SAFETY: the front end keeps its socket open for as long as it is borrowed here.
    let socket = unsafe { BorrowedFd::borrow_raw(frontend.as_raw_fd()) };
    let mut socket = UnixStream::from(socket.try_clone_to_owned().expect("a descriptor"));
    let request = [GET_SHMEM_CONFIG, VERSION, 0].map(u32::to_le_bytes);
    socket.write_all(request.as_flattened()).expect("asked");
    let mut reply = [0; HEADER + PAYLOAD];
    socket.read_exact(&mut reply).expect("an answer");
    assert_eq!(reply[..4], GET_SHMEM_CONFIG.to_le_bytes());
    let size = &reply[HEADER + 8..HEADER + 16];
    u64::from_le_bytes(size.try_into().expect("eight bytes"))
}
