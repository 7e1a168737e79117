// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The process that maps. It is a fork that never execs, so it does nothing but system calls.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    ptr,
};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::Pid,
};

use super::Order;

/// Starts the peer; `ours` is the end of the socket that it must not keep.
pub fn start(
    theirs: UnixStream,
    ours: &UnixStream,
    ranges: u32,
    range_size: u64,
) -> io::Result<Pid> {
    let size = u64::from(ranges) * range_size;
    let ours = ours.as_raw_fd();
    // SAFETY: the child only makes system calls, on memory that it has already, and ends by
    // _exit; so it does not matter what state other threads left locks and heap in.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            serve(&theirs, ours, size as usize, range_size);
            // SAFETY: it always ends the process.
            unsafe { libc::_exit(0) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::InvalidData.into()),
    }
}

/// Answers until the socket ends.
fn serve(socket: &UnixStream, ours: RawFd, size: usize, range_size: u64) {
    // SAFETY: it takes two numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: the parent's end is not used here: it is the parent's value that owns its own copy.
    unsafe { libc::close(ours) };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new range, wherever there is place.
    let reserved = unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::empty(), flags) };
    let Ok(base) = reserved else { return };
    while let Some((order, file)) = receive(socket) {
        let at = u64::from(order.range) * range_size;
        let done = match file {
            _ if at + range_size > size as u64 => Err(Errno::INVAL),
            // SAFETY: the range is one of the reserved, to which nothing here refers.
            file => unsafe { carry_out(base.add(at as usize), at, range_size as usize, file) },
        };
        let answer = done.map_or_else(|errno| errno.raw_os_error() as u8, |()| 0);
        if rustix::io::write(socket, &[answer]).is_err() {
            return;
        }
    }
}

/// Maps the file there, or unmaps without one.
///
/// # Safety
///
/// Nothing may refer to the range.
unsafe fn carry_out(
    place: *mut libc::c_void,
    at: u64,
    len: usize,
    file: Option<OwnedFd>,
) -> Result<(), Errno> {
    let Some(file) = file else {
        // SAFETY: as the caller says.
        return unsafe { munmap(place, len) };
    };
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::SHARED | MapFlags::FIXED;
    // SAFETY: as the caller says; nothing else is mapped in this process since the range was
    // reserved, so that a hole in it is still one.
    unsafe { mmap(place, len, access, flags, file.as_fd(), at) }.map(drop)
}

fn receive(socket: &UnixStream) -> Option<(Order, Option<OwnedFd>)> {
    let mut bytes = [0; Order::LEN];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(socket, &mut into, &mut rights, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut files = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let file = files.next();
    drop(files);
    (got.bytes == Order::LEN).then(|| (Order::of(bytes), file))
}
