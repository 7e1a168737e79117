// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A simulated KVM_RUN: a system call filter turns the calls into signals, whose handler answers
//! them as KVM would for a vCPU that accesses one page.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::mapped::{Mapped, PAGE, RANGE, check, open, view};

const KVM_RUN: u32 = 0xae80;
const KVM_SET_USER_MEMORY_REGION: u32 = 0x4020_ae46;

/// The mapping's address in the guest.
const GUEST: u64 = 1 << 32;

/// The address that the vCPU accesses.
static TOUCHED: AtomicUsize = AtomicUsize::new(0);
static STORES: AtomicBool = AtomicBool::new(false);
/// How often the vCPU was run.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// The kernel reports the page's address.
pub(crate) fn a_fault_with_an_address(path: &Path) -> io::Result<()> {
    let (file, mapped) = mapped(path)?;
    let vcpu = vcpu(Some(GUEST + 5 * PAGE as u64))?;
    set_region(&vcpu, &mapped)?;
    accesses(&mapped, 5 * PAGE, false);
    check(run(&vcpu)? == 2, "it is run again, once")?;
    // A store to the zeros.
    accesses(&mapped, 5 * PAGE, true);
    check(run(&vcpu)? == 2, "it is run again, once")?;
    check(run(&vcpu)? == 1, "nothing is left to do")?;
    // Only the lost pages around the reported one were replaced, and the file is mapped again.
    file.write_all_at(&vec![9; RANGE], 0)?;
    mapped.await_byte(5 * PAGE, 9).map(drop)
}

/// A kernel that reports no address.
pub(crate) fn a_fault_without_an_address(path: &Path) -> io::Result<()> {
    let (_file, mapped) = mapped(path)?;
    let vcpu = vcpu(None)?;
    accesses(&mapped, 7 * PAGE, false);
    check(run(&vcpu)? == 2, "it is run again, once")?;
    accesses(&mapped, 7 * PAGE, true);
    check(run(&vcpu)? == 2, "it is run again, once")
}

/// A fault outside of views is QEMU's: the call fails, after one try.
pub(crate) fn a_fault_elsewhere(path: &Path) -> io::Result<()> {
    let (file, mapped) = mapped(path)?;
    file.set_len(RANGE as u64)?;
    for told in [Some(GUEST - 1), Some(GUEST + RANGE as u64), None] {
        let vcpu = vcpu(told)?;
        set_region(&vcpu, &mapped)?;
        TOUCHED.store(8, Ordering::Relaxed);
        let error = run(&vcpu).err().and_then(|error| error.raw_os_error());
        let runs = RUNS.load(Ordering::Relaxed);
        check(
            (error, runs) == (Some(libc::EFAULT), 1),
            format_args!("{told:?}: {error:?} after {runs} runs"),
        )?;
    }
    Ok(())
}

/// A mapping that has lost all of its pages, and the filter.
fn mapped(path: &Path) -> io::Result<(File, Mapped)> {
    let file = open(path)?;
    let mapped = view(0, RANGE)?;
    filter()?;
    Ok((file, mapped))
}

fn accesses(mapped: &Mapped, offset: usize, store: bool) {
    TOUCHED.store(mapped.address() + offset, Ordering::Relaxed);
    STORES.store(store, Ordering::Relaxed);
}

/// Runs the vCPU; returns how many runs that took.
fn run(vcpu: &File) -> io::Result<usize> {
    RUNS.store(0, Ordering::Relaxed);
    // SAFETY: the call is answered by the handler.
    match unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_RUN.into(), 0) } {
        0 => Ok(RUNS.load(Ordering::Relaxed)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The memory that a vCPU shares with its process. It reports a failed access to `told`.
fn vcpu(told: Option<u64>) -> io::Result<File> {
    // SAFETY: the name ends with a zero byte; the descriptor is new.
    let file = unsafe {
        match libc::memfd_create(c"vcpu".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.set_len(PAGE as u64)?;
    if let Some(told) = told {
        file.write_all_at(&39_u32.to_ne_bytes(), 8)?;
        file.write_all_at(&told.to_ne_bytes(), 40)?;
    }
    Ok(file)
}

fn set_region(vcpu: &File, mapped: &Mapped) -> io::Result<()> {
    let region: [u64; 4] = [3, GUEST, RANGE as u64, mapped.address() as u64];
    let request = KVM_SET_USER_MEMORY_REGION.into();
    // SAFETY: the call is answered by the handler, and the region is there.
    match unsafe { libc::ioctl(vcpu.as_raw_fd(), request, region.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Answers KVM's calls.
extern "C" fn answer(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the thread's context, which is this thread's alone.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let request = registers[libc::REG_RSI as usize] as u32;
    registers[libc::REG_RAX as usize] = match request {
        KVM_RUN => {
            RUNS.fetch_add(1, Ordering::Relaxed);
            let accessible = access(TOUCHED.load(Ordering::Relaxed));
            if accessible {
                0
            } else {
                -i64::from(libc::EFAULT)
            }
        }
        _ => 0,
    };
}

/// Whether the kernel can access the byte as the vCPU would.
fn access(address: usize) -> bool {
    let mut byte = 0_u8;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: 1,
    };
    let (local, remote) = (&raw const local, &raw const remote);
    // SAFETY: the kernel answers an address that is not there by an error.
    unsafe {
        let own = libc::getpid();
        let count = match STORES.load(Ordering::Relaxed) {
            true => libc::process_vm_writev(own, local, 1, remote, 1, 0),
            false => libc::process_vm_readv(own, local, 1, remote, 1, 0),
        };
        count == 1
    }
}

/// Turns KVM's calls into signals of this thread.
fn filter() -> io::Result<()> {
    const NUMBER: u32 = 0;
    const REQUEST: u32 = 24;
    let load = |at| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let equal = |value, yes, no| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let end = |action| step(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    let program = [
        load(NUMBER),
        equal(libc::SYS_ioctl as u32, 0, 3),
        load(REQUEST),
        equal(KVM_RUN, 2, 0),
        equal(KVM_SET_USER_MEMORY_REGION, 1, 0),
        end(libc::SECCOMP_RET_ALLOW),
        end(libc::SECCOMP_RET_TRAP),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: handler and program are as the kernel wants them, and the program is copied.
    let done = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = answer as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}
