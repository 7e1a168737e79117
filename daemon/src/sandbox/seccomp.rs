// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The system call filter: virtiofsd's allow list, and five more calls.
//!
//! virtiofsd builds and loads its filter in one function, so its list is repeated here; a test
//! compares the two. The additions: vhost-user-backend 0.24 calls shutdown(2) on the VMM's socket
//! when the VMM has gone, and vhost 0.18 checks with getsockopt(2) whether the back-end channel is
//! a Unix stream socket. With a window there is faccessat2, which checks whether a file may be
//! written without opening it, and memfd_create, for the page by which the window's address is
//! found and for the private memory of a request whose buffers lie in the window. cachestat shows
//! whether a READ would wait. virtiofsd's filter would kill the process for all five. With `--metrics` there are `recvfrom` and `sendto`
//! without an address.
//!
//! A new system call of the serving threads has to be listed here, or the filter kills the daemon with
//! SIGSYS. Extending the list is the last resort.

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

use crate::adapter::CACHESTAT;
use crate::config::SeccompMode;

/// The calls of virtiofsd 1.14 on x86_64; libseccomp leaves out what another architecture lacks.
const VIRTIOFSD: [&str; 101] = [
    "accept4",
    "brk",
    "capget",
    "capset",
    "clock_gettime",
    "clone",
    "clone3",
    "close",
    "copy_file_range",
    "dup",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "exit",
    "exit_group",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "getdents",
    "getdents64",
    "getegid",
    "geteuid",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "getxattr",
    "linkat",
    "listxattr",
    "lseek",
    "madvise",
    "membarrier",
    "mkdirat",
    "mknodat",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "name_to_handle_at",
    "newfstatat",
    "open",
    "open_by_handle_at",
    "openat",
    "openat2",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readlinkat",
    "readv",
    "recvmsg",
    "removexattr",
    "renameat",
    "renameat2",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendmsg",
    "set_robust_list",
    "setgroups",
    "setresgid",
    "setresuid",
    "setxattr",
    "sigaltstack",
    "statx",
    "symlinkat",
    "syncfs",
    "tgkill",
    "time",
    "tkill",
    "umask",
    "unlink",
    "unlinkat",
    "unshare",
    "utimensat",
    "write",
    "writev",
];

/// A call of our transport.
const SHUTDOWN: &str = "shutdown";

/// The call that shows which files can be mapped. It opens nothing.
const MAY_WRITE: &str = "faccessat2";

/// The call that makes private memory for requests with buffers in the window, and scratch memory
/// to find the window's address.
const SCRATCH: &str = "memfd_create";

/// The options that our transport reads from a socket with getsockopt(2), all of `SOL_SOCKET`.
const SOCKET_OPTIONS: [libc::c_int; 2] = [libc::SO_DOMAIN, libc::SO_TYPE];

/// The call that syslog needs.
const SYSLOG: &str = "sendto";

/// The calls for serving metrics on a connected socket, where they do the same as read(2) and
/// write(2). With an address they could do more, so an address is not allowed; it is the argument
/// of this number.
const ON_A_CONNECTION: [&str; 2] = ["recvfrom", "sendto"];
const ADDRESS: u32 = 4;

/// Optional tasks of the daemon that need more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct More {
    /// It logs to syslog.
    pub(crate) syslog: bool,
    /// It serves metrics.
    pub(crate) metrics: bool,
}

/// Loads the filter for this thread and those that it starts. Sets no_new_privs.
pub(crate) fn load(mode: SeccompMode, more: More) -> Result<(), SeccompError> {
    let action = match mode {
        SeccompMode::None => return Ok(()),
        SeccompMode::Kill => ScmpAction::KillProcess,
        SeccompMode::Log => ScmpAction::Log,
        SeccompMode::Trap => ScmpAction::Trap,
    };
    build(action, more)?.load()
}

fn build(action: ScmpAction, more: More) -> Result<ScmpFilterContext, SeccompError> {
    let mut filter = ScmpFilterContext::new_filter(action)?;
    let calls = VIRTIOFSD.iter().chain([&SHUTDOWN, &MAY_WRITE, &SCRATCH]);
    for name in calls.chain(more.syslog.then_some(&SYSLOG)) {
        filter.add_rule(ScmpAction::Allow, ScmpSyscall::from_name(name)?)?;
    }
    // libseccomp of Debian 12 does not know its name.
    filter.add_rule(ScmpAction::Allow, ScmpSyscall::from(CACHESTAT))?;
    if more.metrics {
        for name in ON_A_CONNECTION {
            // A call that is allowed without conditions cannot be allowed with conditions too.
            if !(more.syslog && name == SYSLOG) {
                allow_on_a_connection(&mut filter, name)?;
            }
        }
    }
    for option in SOCKET_OPTIONS {
        let argument = |index, value: libc::c_int| {
            // Arguments of a system call are registers; an int is the lower half.
            let lower_half = ScmpCompareOp::MaskedEqual(u64::from(u32::MAX));
            ScmpArgCompare::new(index, lower_half, u64::from(value.cast_unsigned()))
        };
        filter.add_rule_conditional(
            ScmpAction::Allow,
            ScmpSyscall::from_name("getsockopt")?,
            &[argument(1, libc::SOL_SOCKET), argument(2, option)],
        )?;
    }
    Ok(filter)
}

/// Allows a call without an address.
fn allow_on_a_connection(filter: &mut ScmpFilterContext, name: &str) -> Result<(), SeccompError> {
    filter.add_rule_conditional(
        ScmpAction::Allow,
        ScmpSyscall::from_name(name)?,
        &[ScmpArgCompare::new(ADDRESS, ScmpCompareOp::Equal, 0)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    use super::{SYSLOG, VIRTIOFSD};

    /// In virtiofsd's source, but for other architectures.
    const FOREIGN: [&str; 6] = [
        "_llseek",
        "fstatfs64",
        "setresgid32",
        "setresuid32",
        "sigreturn",
        SYSLOG,
    ];

    /// Where cargo keeps the source of the virtiofsd that we link.
    fn virtiofsd_source() -> PathBuf {
        let metadata = Command::new(env!("CARGO"))
            // Packages for other platforms may never have been downloaded.
            .args(["metadata", "--format-version=1", "--offline"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(metadata.status.success(), "{metadata:?}");
        let metadata = String::from_utf8(metadata.stdout).unwrap();
        metadata
            .split('"')
            .find(|text| text.ends_with("/virtiofsd-1.14.0/Cargo.toml"))
            .map(|manifest| PathBuf::from(manifest).with_file_name("src"))
            .expect("virtiofsd 1.14.0 is a dependency")
    }

    #[test]
    fn the_list_is_that_of_virtiofsd() {
        let source = fs::read_to_string(virtiofsd_source().join("seccomp.rs")).unwrap();
        let theirs: BTreeSet<&str> = source
            .split("libc::SYS_")
            .skip(1)
            .filter_map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
            })
            .filter(|name| !FOREIGN.contains(name))
            .collect();
        let ours: BTreeSet<&str> = VIRTIOFSD.into_iter().collect();
        assert_eq!(ours.len(), VIRTIOFSD.len(), "a name is there twice");
        assert_eq!(ours, theirs);
    }
}
