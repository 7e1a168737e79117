// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Misbehaviour of a broken device.

use super::{Fault, strikes};
use crate::oracles::time;

/// Misbehaves in the process.
///
/// # Panics
/// If that is the fault.
pub fn misbehave() {
    if strikes(Fault::LeakDescriptor) {
        let file = std::fs::File::open(".").expect("a directory");
        std::mem::forget(file);
    }
    if strikes(Fault::LeakMemory) {
        std::mem::forget(vec![0_u8; 10]);
    }
    if strikes(Fault::HugeAllocation) {
        drop(std::hint::black_box(vec![0_u8; 32 << 20]));
    }
    if strikes(Fault::BurnTime) {
        let enough = time::used() + time::LIMIT / 8;
        while time::used() <= enough {
            std::hint::spin_loop();
        }
    }
    if strikes(Fault::KeepUmask) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o7));
    }
    if strikes(Fault::KeepGroup) {
        let [root, nogroup] = [0, 65534].map(rustix::fs::Gid::from_raw);
        rustix::thread::set_thread_res_gid(root, nogroup, root).expect("another group");
    }
    assert!(!strikes(Fault::Panic), "a fault that was asked for");
    while strikes(Fault::Wait) {
        std::thread::park();
    }
    misuse_memory();
}

fn misuse_memory() {
    if strikes(Fault::ForeignLeak) {
        // SAFETY: the memory is not used.
        std::hint::black_box(unsafe { libc::malloc(100) });
    }
    if strikes(Fault::ReadFreed) {
        let freed = Box::into_raw(Box::new(7_u64));
        // SAFETY: the first access is sound. The second is not, on purpose: a sanitizer ends the
        // process, and without one the allocator's memory can still be read.
        std::hint::black_box(unsafe {
            drop(Box::from_raw(freed));
            freed.read_volatile()
        });
    }
}

/// Misbehaves on the used ring.
///
/// # Panics
/// Never: there is an entry.
pub fn spoil(returned: &mut Vec<(u32, u32)>) {
    let Some(last) = returned.last().copied() else {
        return;
    };
    if strikes(Fault::LoseReply) {
        returned.pop();
    }
    if strikes(Fault::DoubleReply) {
        returned.push(last);
    }
    if strikes(Fault::LongReply) {
        let (_, len) = returned.last_mut().expect("there is one");
        *len += 1 << 20;
    }
}
