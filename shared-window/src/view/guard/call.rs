// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The system call that a thread waits in, as `/proc/TID/syscall` shows it.
//!
//! An event says that a file is opened or about to be read, written or truncated, but not by which
//! call: only the call's number and arguments show that. The guard reads no memory of the thread,
//! since that could wait for another process (userfaultfd, a FUSE file system). So the flags of
//! openat2(2) stay unknown.

/// A system call and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    number: i64,
    arguments: [u64; 6],
}

/// System calls of a 32 bit process on a 64 bit kernel. None of these numbers is a 64 bit call that
/// opens a file or changes its size.
#[cfg(target_arch = "x86_64")]
mod compat {
    pub(super) const OPEN: i64 = 5;
    pub(super) const CREAT: i64 = 8;
    pub(super) const OPENAT: i64 = 295;
    pub(super) const TRUNCATE: i64 = 92;
    pub(super) const FTRUNCATE: i64 = 93;
    pub(super) const TRUNCATE64: i64 = 193;
    pub(super) const FTRUNCATE64: i64 = 194;
}

impl Call {
    /// Parses the line of `/proc/TID/syscall`; `None` for a thread that is in no call, such as a
    /// kernel thread.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let number = words.next()?.parse().ok().filter(|number| *number >= 0)?;
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            let word = words.next()?.strip_prefix("0x")?;
            *argument = u64::from_str_radix(word, 16).ok()?;
        }
        Some(Self { number, arguments })
    }

    /// Whether the call opens a file with O_TRUNC.
    pub(super) fn opens_with_truncation(self) -> bool {
        let [first, second, third, ..] = self.arguments;
        let _ = first;
        let flags = match self.number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat | compat::CREAT => return true,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open | compat::OPEN => second,
            #[cfg(target_arch = "x86_64")]
            compat::OPENAT => third,
            libc::SYS_openat | libc::SYS_open_by_handle_at => third,
            _ => return false,
        };
        flags & libc::O_TRUNC as u64 != 0
    }

    /// The size in bytes that the call gives to a file of `size` bytes; `None` if it does not
    /// change the size, or the new size can't be known.
    pub(super) fn size_after(self, size: u64) -> Option<u64> {
        let [_, second, third, fourth, ..] = self.arguments;
        let _ = third;
        match self.number {
            libc::SYS_truncate | libc::SYS_ftruncate => Some(second),
            libc::SYS_fallocate if second & libc::FALLOC_FL_COLLAPSE_RANGE as u64 != 0 => {
                Some(size.saturating_sub(fourth))
            }
            #[cfg(target_arch = "x86_64")]
            compat::TRUNCATE | compat::FTRUNCATE => Some(second),
            #[cfg(target_arch = "x86_64")]
            compat::TRUNCATE64 | compat::FTRUNCATE64 => {
                Some((second & 0xffff_ffff) | (third & 0xffff_ffff) << 32)
            }
            _ => None,
        }
    }

    /// Whether the call may perform another thread's request: by io_uring.
    pub(super) fn is_for_others(self) -> bool {
        self.number == libc::SYS_io_uring_enter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: i64, arguments: [u64; 3]) -> Call {
        let [a, b, c] = arguments;
        Call::parse(&format!(
            "{number} {a:#x} {b:#x} {c:#x} 0x1000 0x0 0x0 0x7fff 0x7f48\n"
        ))
        .unwrap()
    }

    #[test]
    fn a_call_is_read_and_what_is_none_is_not() {
        let line = "257 0xffffff9c 0x7fff3a113ad8 0x202 0x0 0x1 0x73 0x7fff3a112530 0x7f48";
        let call = Call::parse(line).unwrap();
        assert_eq!((call.number, call.arguments[2]), (257, 0x202));
        for none in [
            "",
            "running\n",
            "-1 0x7fff 0x7f48",
            "257 0x1 0x2",
            "257 1 2 3 4 5 6",
        ] {
            assert_eq!(Call::parse(none), None, "{none}");
        }
    }

    #[test]
    fn opens_that_truncate_are_told_from_others() {
        let truncating = (libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC) as u64;
        let plain = (libc::O_RDWR | libc::O_CREAT) as u64;
        let opens = |number, arguments| call(number, arguments).opens_with_truncation();
        assert!(opens(libc::SYS_openat, [0, 1, truncating]));
        assert!(!opens(libc::SYS_openat, [truncating, truncating, plain]));
        assert!(
            !opens(libc::SYS_openat2, [0, 1, truncating]),
            "not its flags"
        );
        assert!(!opens(libc::SYS_ftruncate, [3, truncating, truncating]));
        #[cfg(target_arch = "x86_64")]
        {
            assert!(opens(libc::SYS_open, [1, truncating, 0o644]));
            assert!(!opens(libc::SYS_open, [1, plain, truncating]));
            assert!(opens(libc::SYS_creat, [1, 0o644, 0]));
            assert!(opens(compat::OPENAT, [0, 1, truncating]));
        }
    }

    #[test]
    fn the_size_after_a_call_is_known_where_the_call_sets_it() {
        let after = |number, arguments| call(number, arguments).size_after(10_000);
        assert_eq!(after(libc::SYS_ftruncate, [3, 5, 7]), Some(5));
        assert_eq!(after(libc::SYS_truncate, [0x7fff, 20_000, 7]), Some(20_000));
        let collapse = libc::FALLOC_FL_COLLAPSE_RANGE as u64;
        assert_eq!(after(libc::SYS_fallocate, [3, collapse, 0]), Some(5904));
        let punch = libc::FALLOC_FL_PUNCH_HOLE as u64;
        assert_eq!(after(libc::SYS_fallocate, [3, punch, 0]), None);
        assert_eq!(after(libc::SYS_read, [3, 5, 7]), None);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(after(compat::FTRUNCATE64, [3, 1, 1]), Some((1 << 32) + 1));
    }
}
