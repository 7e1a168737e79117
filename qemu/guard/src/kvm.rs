// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stands in front of ioctl, for KVM.
//!
//! Where a vCPU touches a lost page there is no signal: KVM_RUN fails with EFAULT. A kernel that
//! says which address it was (KVM_EXIT_MEMORY_FAULT) lets that page be answered as a signal's is;
//! the slots of memory are noted for that. With others every page of every mapped view is asked
//! for. The vCPU is run again only if something was changed, so this can't go on for ever.
//!
//! This has been tried with calls that only looked like KVM's, and never with a guest under KVM.

use core::ffi::{c_int, c_ulong, c_void};
use core::mem;
use core::sync::atomic::Ordering;

use crate::next::Next;
use crate::table::GuestAddress;
use crate::{IN_USE, TABLE, fault, sys};

/// KVM_RUN.
const RUN: u32 = 0xae80;

/// KVM_SET_USER_MEMORY_REGION, and the one with flags for guest_memfd. Both begin alike.
const SET_REGION: u32 = 0x4020_ae46;
const SET_REGION_2: u32 = 0x40a0_ae49;

/// KVM_EXIT_MEMORY_FAULT.
const MEMORY_FAULT: u32 = 39;

static NEXT_IOCTL: Next = Next::new(c"ioctl");

type Ioctl = extern "C" fn(c_int, c_ulong, *mut c_void) -> c_int;

/// The beginning of struct kvm_run, as far as it says what fault it was.
#[repr(C)]
struct KvmRun {
    before: [u8; 8],
    exit_reason: u32,
    between: [u8; 20],
    fault_flags: u64,
    fault_address: u64,
}

/// The beginning of struct kvm_userspace_memory_region.
#[repr(C)]
struct Region {
    slot: u32,
    flags: u32,
    guest_address: u64,
    size: u64,
    address: u64,
}

/// ioctl(2). The third argument is read whether there is one or not, which the calling conventions
/// of 64-bit Linux allow.
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn ioctl(
    descriptor: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    let next = NEXT_IOCTL.address();
    if next.is_null() {
        sys::set_errno(libc::ENOSYS);
        return -1;
    }
    // SAFETY: it is libc's function of that name, whose arguments are passed in the same way.
    let next: Ioctl = unsafe { mem::transmute(next) };
    loop {
        let result = next(descriptor, request, argument);
        if !IN_USE.load(Ordering::Relaxed) {
            return result;
        }
        match request as u32 {
            RUN if result == -1 && sys::errno() == libc::EFAULT && mend(descriptor) => {}
            SET_REGION | SET_REGION_2 if result == 0 => {
                // SAFETY: the kernel has just read it there.
                note(unsafe { &*argument.cast::<Region>() });
                return result;
            }
            _ => return result,
        }
    }
}

/// Remembers where a slot of the guest's memory is.
fn note(region: &Region) {
    let mut table = TABLE.lock();
    if region.size == 0 {
        table.clear_guest(region.slot);
    } else {
        let guest = GuestAddress {
            slot: region.slot,
            address: region.guest_address,
        };
        table.set_guest(region.address as usize, guest);
    }
}

/// Replaces what kept the vCPU from running; whether it is to be run again.
fn mend(vcpu: c_int) -> bool {
    let mended = match fault_of(vcpu) {
        Some(address) => {
            let address = TABLE.lock().of_guest(address);
            // Another address is for QEMU to deal with.
            address.is_some_and(fault::mend_page)
        }
        None => fault::mend_all(),
    };
    sys::set_errno(libc::EFAULT);
    mended
}

/// The guest's address that the vCPU could not access, if the kernel says so.
fn fault_of(vcpu: c_int) -> Option<u64> {
    let page = sys::page_size();
    // SAFETY: new memory: the first page of what a vCPU shares with its process.
    let run = unsafe { sys::mmap(0..page, libc::PROT_READ, libc::MAP_SHARED, vcpu, 0) }.ok()?;
    let shared = core::ptr::with_exposed_provenance::<KvmRun>(run);
    // SAFETY: it lies at the page's beginning; the vCPU, which would write there, is not running.
    let (reason, address) = unsafe {
        (
            (&raw const (*shared).exit_reason).read_volatile(),
            (&raw const (*shared).fault_address).read_volatile(),
        )
    };
    // SAFETY: it was made above.
    let _ = unsafe { sys::munmap(&(run..run + page)) };
    (reason == MEMORY_FAULT).then_some(address)
}
