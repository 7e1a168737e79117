// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The process that maps. It is a fork without exec, so it makes only system calls.

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

/// Starts the peer. `ours` is the end of the socket that the peer must close.
pub fn start(
    theirs: UnixStream,
    ours: &UnixStream,
    ranges: u32,
    range_size: u64,
) -> io::Result<Pid> {
    let size = u64::from(ranges) * range_size;
    let ours = ours.as_raw_fd();
    // SAFETY: the child only makes system calls, on memory that exists already, and ends by _exit.
    // So the state in which other threads left locks and heap does not matter.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            serve(&theirs, ours, size as usize, range_size);
            // SAFETY: this always ends the process.
            unsafe { libc::_exit(0) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::InvalidData.into()),
    }
}

/// Answers until the socket ends.
fn serve(socket: &UnixStream, ours: RawFd, size: usize, range_size: u64) {
    // SAFETY: the call takes two numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: this process does not use the parent's end. The parent's value owns the parent's own
    // copy.
    unsafe { libc::close(ours) };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new range at an address that the kernel chooses.
    let reserved = unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::empty(), flags) };
    let Ok(base) = reserved else { return };
    while let Some((order, file)) = receive(socket) {
        let at = u64::from(order.range) * range_size;
        let done = match file {
            _ if at + range_size > size as u64 => Err(Errno::INVAL),
            // SAFETY: the range is within the reservation, and nothing here refers to it.
            file => unsafe { carry_out(base.add(at as usize), at, range_size as usize, file) },
        };
        let answer = done.map_or_else(|errno| errno.raw_os_error() as u8, |()| 0);
        if rustix::io::write(socket, &[answer]).is_err() {
            return;
        }
    }
}

/// Maps the file at `place`, or unmaps it without a file.
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
        // SAFETY: guaranteed by the caller.
        return unsafe { munmap(place, len) };
    };
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::SHARED | MapFlags::FIXED;
    // SAFETY: guaranteed by the caller. Nothing else was mapped in this process since the
    // reservation, so a hole in it is still a hole.
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
