// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Misbehaviour on demand, to show that each oracle notices.
//!
//! A fault strikes where the daemon would misbehave: in between a request's arrival and the check
//! of what came of it. `DAXD_FUZZ_FAULT=NAME` lets one strike in every input of a process.

pub mod device;

use std::cell::Cell;
use std::sync::OnceLock;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A descriptor stays open.
    LeakDescriptor,
    /// Memory is never freed.
    LeakMemory,
    /// More memory is allocated at once than any request is worth.
    HugeAllocation,
    /// A second of processor time is used up.
    BurnTime,
    /// There is a panic.
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
    /// A reply is said to be longer than the room for it.
    LongReply,
    /// A reply bears another request's number.
    WrongUnique,
    /// A window's mapping is forgotten.
    ForgetMapping,
    /// A thread outlives its session.
    LeakThread,
    /// A byte beside guest memory is read: ends the process.
    BesideMemory,
    /// Memory of C is never freed: for LeakSanitizer.
    ForeignLeak,
    /// Memory is read that is freed: for AddressSanitizer.
    ReadFreed,
    /// Nobody goes on: for libFuzzer's timeout.
    Wait,
}

impl Fault {
    /// Those that an oracle of this crate notices.
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
    /// Those that end the process, or are for a sanitizer.
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
#[must_use]
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
