// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Complaints in the log of a guest's kernel: how severe each is, and which function makes it.

use std::fmt;

/// How severe a complaint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// WARN: the kernel goes on.
    Warning,
    /// A reference count or a page is in a state that it can't be in.
    BadState,
    /// A task has slept, or a CPU has run, for too long.
    Stall,
    /// KASAN: an access to memory that is not the accessor's.
    Kasan,
    /// BUG, Oops or a general protection fault: the kernel ends the task.
    Oops,
}

/// A complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How severe it is.
    pub severity: Severity,
    /// The function that complains, without the compiler's suffixes; `None` if the log does not
    /// name it.
    pub function: Option<String>,
    /// The line of the log.
    pub line: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// A complaint that a case may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// How severe it is.
    pub severity: Severity,
    /// The function that complains.
    pub function: &'static str,
}

impl Allowed {
    /// A WARN of `function`.
    pub const fn warning(function: &'static str) -> Self {
        let severity = Severity::Warning;
        Self { severity, function }
    }

    /// A BUG or an oops in `function`.
    pub const fn oops(function: &'static str) -> Self {
        let severity = Severity::Oops;
        Self { severity, function }
    }

    /// Whether `complaint` is this one.
    pub fn is(&self, complaint: &Complaint) -> bool {
        let function = complaint.function.as_deref();
        complaint.severity == self.severity && function == Some(self.function)
    }
}

/// What marks a line as a complaint. The first mark that a line has decides.
const MARKS: [(&str, Severity); 13] = [
    ("BUG: KASAN", Severity::Kasan),
    ("KASAN", Severity::Kasan),
    ("WARNING:", Severity::Warning),
    ("Bad page", Severity::BadState),
    ("refcount_t:", Severity::BadState),
    ("soft lockup", Severity::Stall),
    ("blocked for more than", Severity::Stall),
    ("kernel BUG", Severity::Oops),
    ("BUG:", Severity::Oops),
    ("Oops", Severity::Oops),
    ("general protection fault", Severity::Oops),
    ("self-detected stall", Severity::Stall),
    ("detected stalls on CPUs", Severity::Stall),
];
/// The marks of a lack of progress. A busy host can cause such lines.
const STALLS: [&str; 3] = [
    "soft lockup",
    "self-detected stall",
    "detected stalls on CPUs",
];
/// How many lines after an oops name its function.
const REGISTERS_WITHIN: usize = 30;

/// The complaints of a kernel log, but for those of a lack of progress.
pub fn complaints(log: &str) -> Vec<Complaint> {
    all(log).filter(|complaint| !is_stall(complaint)).collect()
}

/// The complaints of a lack of progress. They count only if a case has failed.
pub fn stalls(log: &str) -> Vec<Complaint> {
    all(log).filter(is_stall).collect()
}

/// The line with which a kernel panics, if the log has one.
pub fn panic(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| line.contains("Kernel panic - not syncing"))
}

fn is_stall(complaint: &Complaint) -> bool {
    STALLS.iter().any(|mark| complaint.line.contains(mark))
}

fn all(log: &str) -> impl Iterator<Item = Complaint> {
    let lines: Vec<&str> = log.lines().collect();
    let complaint = |at: usize| {
        let line = lines[at];
        let (_, severity) = MARKS.iter().find(|(mark, _)| line.contains(mark))?;
        let function = match severity {
            Severity::Oops => {
                let registers = lines[at..].iter().take(REGISTERS_WITHIN);
                let pointer = registers
                    .filter_map(|line| line.split("RIP: 0010:").nth(1))
                    .next();
                pointer.and_then(symbol)
            }
            _ => line.split_whitespace().find_map(symbol),
        };
        Some(Complaint {
            severity: *severity,
            function: function.map(str::to_owned),
            line: line.to_owned(),
        })
    };
    let found: Vec<Complaint> = (0..lines.len()).filter_map(complaint).collect();
    found.into_iter()
}

/// The function of `NAME.isra.0+0x12/0x34`.
fn symbol(word: &str) -> Option<&str> {
    let (name, _) = word.split_once("+0x")?;
    name.split('.').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPPED: Allowed = Allowed::warning("dax_disassociate_entry");

    #[test]
    fn complaints_are_told_from_chatter() {
        let log = "[ 1.0] virtiofs virtio3: Cache len: 0x1000000\n\
                   [ 2.0] WARNING: CPU: 0 PID: 77 at fs/dax.c:430 dax_disassociate_entry+0x8f/0xd0\n\
                   [ 3.0] EXT4-fs (pmem0): DAX enabled. Warning: EXPERIMENTAL, use at your own risk\n";
        let found = complaints(log);
        assert_eq!(found.len(), 1);
        assert!(DROPPED.is(&found[0]));
        assert_eq!(panic(log), None);
    }

    #[test]
    fn severity_and_function_are_read() {
        let log = "WARNING: fs/dax.c:452 at dax_disassociate_entry.isra.0+0x86/0xb0, CPU#1: x/90\n\
                   WARNING: CPU: 1 PID: 9 at mm/truncate.c:89 truncate_folio_batch_exceptionals+0x1/0x2\n\
                   kernel BUG at fs/super.c:647!\n\
                   Oops: invalid opcode: 0000 [#1] PREEMPT SMP\n\
                   RIP: 0010:generic_shutdown_super.cold+0x1a/0x1c\n\
                   BUG: KASAN: slab-use-after-free in put_page+0x12/0x30\n\
                   refcount_t: underflow; use-after-free.\n\
                   INFO: task guest-worker:77 blocked for more than 120 seconds.\n\
                   Kernel panic - not syncing: Fatal exception\n";
        let found = complaints(log);
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.severity, one.function.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                (Severity::Warning, Some("dax_disassociate_entry")),
                (Severity::Warning, Some("truncate_folio_batch_exceptionals")),
                (Severity::Oops, Some("generic_shutdown_super")),
                (Severity::Oops, Some("generic_shutdown_super")),
                (Severity::Kasan, Some("put_page")),
                (Severity::BadState, None),
                (Severity::Stall, None),
            ]
        );
        assert!(panic(log).is_some());
    }

    /// An allowed complaint excuses no other.
    #[test]
    fn another_function_and_another_severity_are_not_allowed() {
        let of = |line: &str| complaints(line).remove(0);
        assert!(!DROPPED.is(&of(
            "WARNING: CPU: 0 at fs/dax.c:1035 dax_writeback_one+0x1/0x2"
        )));
        assert!(!DROPPED.is(&of(
            "BUG: KASAN: use-after-free in dax_disassociate_entry+0x1/0x2"
        )));
        assert!(!DROPPED.is(&of(
            "WARNING: possible circular locking dependency detected"
        )));
    }

    #[test]
    fn a_lack_of_progress_is_no_complaint_by_itself() {
        let log = "rcu: INFO: rcu_sched self-detected stall on CPU\n\
                   watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [guest-worker:81]\n";
        assert_eq!(complaints(log), []);
        assert_eq!(stalls(log).len(), 2);
    }
}
