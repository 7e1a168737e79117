// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Interposes ioctl, for KVM.
//!
//! If a vCPU accesses a lost page there is no signal: KVM_RUN fails with EFAULT. If the kernel
//! reports the address (KVM_EXIT_MEMORY_FAULT), that page is handled as after a signal; for that
//! the memory slots are recorded. Otherwise every page of every mapped view is checked. The vCPU is
//! run again only if something was changed, so this ends.
//!
//! This has been tested with simulated KVM calls only, never with a guest under KVM.

use core::ffi::{c_int, c_ulong, c_void};
use core::mem;
use core::sync::atomic::Ordering;

use crate::next::Next;
use crate::table::GuestAddress;
use crate::{IN_USE, TABLE, fault, sys};

/// KVM_RUN.
const RUN: u32 = 0xae80;

/// KVM_SET_USER_MEMORY_REGION, and the one with flags for guest_memfd. Both structures begin alike.
const SET_REGION: u32 = 0x4020_ae46;
const SET_REGION_2: u32 = 0x40a0_ae49;

/// KVM_EXIT_MEMORY_FAULT.
const MEMORY_FAULT: u32 = 39;

static NEXT_IOCTL: Next = Next::new(c"ioctl");

type Ioctl = extern "C" fn(c_int, c_ulong, *mut c_void) -> c_int;

/// The beginning of struct kvm_run, up to the description of the fault.
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
/// As for libc's.
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
    // SAFETY: this is libc's function of that name, whose arguments are passed in the same way.
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

/// Records the address of a slot of the guest's memory.
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

/// Replaces the pages that kept the vCPU from running. Returns whether it is to be run again.
fn mend(vcpu: c_int) -> bool {
    let mended = match fault_of(vcpu) {
        Some(address) => {
            let address = TABLE.lock().of_guest(address);
            // QEMU has to handle any other address.
            address.is_some_and(fault::mend_page)
        }
        None => fault::mend_all(),
    };
    sys::set_errno(libc::EFAULT);
    mended
}

/// The guest's address that the vCPU could not access, if the kernel reports it.
fn fault_of(vcpu: c_int) -> Option<u64> {
    let page = sys::page_size();
    // SAFETY: new memory: the first page that a vCPU shares with its process.
    let run = unsafe { sys::mmap(0..page, libc::PROT_READ, libc::MAP_SHARED, vcpu, 0) }.ok()?;
    let shared = core::ptr::with_exposed_provenance::<KvmRun>(run);
    // SAFETY: the structure lies at the page's beginning, and the vCPU, which would write there, is
    // not running.
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
