// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Misbehaviour on demand, to show that each oracle detects it.
//!
//! A fault strikes where the daemon would misbehave: between the arrival of a request and the check
//! of its result. With `DAXD_FUZZ_FAULT=NAME` the fault strikes in every input of a process.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::oracles;

/// The kinds of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A descriptor stays open.
    LeakDescriptor,
    /// Memory is never freed.
    LeakMemory,
    /// More memory is allocated at once than any request needs.
    HugeAllocation,
    /// A second of processor time is used up.
    BurnTime,
    /// The code panics.
    Panic,
    /// A file beside the share is read.
    ReadOutside,
    /// A file beside the share is written.
    WriteOutside,
    /// A file is created beside the share.
    CreateOutside,
    /// The umask of the serving thread stays changed.
    KeepUmask,
    /// The group of the serving thread stays changed.
    KeepGroup,
    /// A request is not returned.
    LoseReply,
    /// A request is returned twice.
    DoubleReply,
    /// A reply claims to be longer than its room.
    LongReply,
    /// A reply carries another request's number.
    WrongUnique,
    /// A window's mapping is forgotten.
    ForgetMapping,
    /// A thread outlives its session.
    LeakThread,
    /// A byte beside guest memory is read, which ends the process.
    BesideMemory,
    /// Memory of C is never freed, for LeakSanitizer to detect.
    ForeignLeak,
    /// Freed memory is read, for AddressSanitizer to detect.
    ReadFreed,
    /// The thread never goes on, for libFuzzer's timeout to detect.
    Wait,
}

impl Fault {
    /// The faults that an oracle of this crate detects.
    pub const NOTICED: [Self; 16] = [
        Self::LeakDescriptor,
        Self::LeakMemory,
        Self::HugeAllocation,
        Self::BurnTime,
        Self::Panic,
        Self::ReadOutside,
        Self::WriteOutside,
        Self::CreateOutside,
        Self::KeepUmask,
        Self::KeepGroup,
        Self::LoseReply,
        Self::DoubleReply,
        Self::LongReply,
        Self::WrongUnique,
        Self::ForgetMapping,
        Self::LeakThread,
    ];
    /// The faults that end the process, or that a sanitizer detects.
    pub const FATAL: [Self; 4] = [
        Self::BesideMemory,
        Self::ForeignLeak,
        Self::ReadFreed,
        Self::Wait,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::NOTICED
            .into_iter()
            .chain(Self::FATAL)
            .find(|fault| format!("{fault:?}") == name)
    }
}

thread_local! {
    static HERE: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Runs `input` with a fault that strikes on this thread.
pub fn with<T>(fault: Fault, input: impl FnOnce() -> T) -> T {
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            HERE.set(None);
        }
    }
    HERE.set(Some(fault));
    let _ends = Ends;
    input()
}

/// Whether this fault is to strike.
pub fn strikes(fault: Fault) -> bool {
    HERE.get().or_else(of_the_process) == Some(fault)
}

fn of_the_process() -> Option<Fault> {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    *FAULT.get_or_init(|| {
        let name = std::env::var("DAXD_FUZZ_FAULT").ok()?;
        let fault = Fault::named(&name);
        assert!(
            fault.is_some(),
            "DAXD_FUZZ_FAULT={name}: there are {:?} and {:?}",
            Fault::NOTICED,
            Fault::FATAL
        );
        fault
    })
}

/// Misbehaves in the process, as a broken device would.
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
        let enough = oracles::time_used() + oracles::TIME_LIMIT / 8;
        while oracles::time_used() <= enough {
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

/// Misbehaves on the used ring, as a broken device would.
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
