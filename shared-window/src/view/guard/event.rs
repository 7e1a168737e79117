// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Events of fanotify, and the answer to each.

use std::os::fd::{FromRawFd, OwnedFd};

use super::call::Call;
use crate::units::page_size;

/// `FAN_PRE_ACCESS`, of Linux 6.14: content is about to be read, written or cut off.
pub(super) const PRE_ACCESS: u64 = 0x0010_0000;
/// `FAN_EVENT_INFO_TYPE_RANGE`.
const RANGE: u8 = 6;
/// `sizeof(struct fanotify_event_metadata)`, and of `struct fanotify_event_info_range`.
const HEAD: usize = 24;
const RANGE_LEN: usize = 24;

/// An operation on a file that a thread is about to do, and that waits for an answer.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) file: OwnedFd,
    pub(super) what: What,
    /// The thread.
    pub(super) thread: i32,
}

/// The operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Open,
    /// The range, in whole pages. Only a truncation has a length of 0.
    Access {
        from: u64,
        len: u64,
    },
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

impl Event {
    /// Takes the first event off `bytes`, which were read from a group. Skips events that need no
    /// answer.
    pub(super) fn take(bytes: &mut &[u8]) -> Option<Option<Self>> {
        let len = u32::from_ne_bytes(number(bytes, 0)?) as usize;
        let one = bytes.get(..len).filter(|one| one.len() >= HEAD)?;
        *bytes = &bytes[len..];
        let head = usize::from(u16::from_ne_bytes(number(one, 6)?));
        let mask = u64::from_ne_bytes(number(one, 8)?);
        let descriptor = i32::from_ne_bytes(number(one, 16)?);
        let thread = i32::from_ne_bytes(number(one, 20)?);
        if descriptor < 0 {
            // The queue overflowed; the kernel allows the waiting operations.
            return Some(None);
        }
        // SAFETY: the kernel has opened this descriptor for the reader of the event, once, and no
        // other code has read it.
        let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let what = if mask & PRE_ACCESS == 0 {
            What::Open
        } else {
            let (from, len) = range(one.get(head..)?).unwrap_or((0, u64::MAX));
            What::Access { from, len }
        };
        Some(Some(Self { file, what, thread }))
    }
}

/// The range of bytes of an event.
fn range(info: &[u8]) -> Option<(u64, u64)> {
    let of_range = info.first() == Some(&RANGE) && info.len() >= RANGE_LEN;
    of_range.then_some(())?;
    Some((
        u64::from_ne_bytes(number(info, 8)?),
        u64::from_ne_bytes(number(info, 16)?),
    ))
}

impl What {
    /// Whether the operation would take a page from a file of `size` bytes; `call` is the thread's
    /// system call, if known.
    pub(super) fn takes_pages(self, call: Option<Call>, size: u64) -> bool {
        let kept = match (self, call) {
            (Self::Open, Some(call)) => call.opens_with_truncation().then_some(0),
            (Self::Open, None) => None,
            (Self::Access { from, len: 0 }, call) if call.is_none_or(Call::is_for_others) => {
                Some(from)
            }
            (Self::Access { .. }, call) => call.and_then(|call| call.size_after(size)),
        };
        kept.and_then(|kept| kept.checked_next_multiple_of(page_size()))
            .is_some_and(|kept| kept < size)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    /// An event as the kernel writes it.
    fn event(mask: u64, descriptor: i32, range: Option<(u64, u64)>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let len = HEAD + range.map_or(0, |_| RANGE_LEN);
        bytes.extend((len as u32).to_ne_bytes());
        bytes.extend([3, 0]);
        bytes.extend((HEAD as u16).to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend(descriptor.to_ne_bytes());
        bytes.extend(77_i32.to_ne_bytes());
        if let Some((from, len)) = range {
            bytes.extend([RANGE, 0]);
            bytes.extend((RANGE_LEN as u16).to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(from.to_ne_bytes());
            bytes.extend(len.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn events_are_taken_one_after_the_other() {
        let open = || tempfile::tempfile().unwrap().into_raw_fd();
        let mut bytes = event(libc::FAN_OPEN_PERM, open(), None);
        bytes.extend(event(libc::FAN_Q_OVERFLOW, -1, None));
        bytes.extend(event(PRE_ACCESS, open(), Some((4096, 8192))));
        let mut rest = &bytes[..];
        let first = Event::take(&mut rest).unwrap().unwrap();
        assert_eq!((first.what, first.thread), (What::Open, 77));
        assert!(first.file.as_raw_fd() > 2);
        assert!(Event::take(&mut rest).unwrap().is_none());
        let second = Event::take(&mut rest).unwrap().unwrap();
        let (from, len) = (4096, 8192);
        assert_eq!(second.what, What::Access { from, len });
        assert!(Event::take(&mut rest).is_none() && rest.is_empty());
        assert!(Event::take(&mut &bytes[..HEAD - 1]).is_none());
    }

    #[test]
    fn only_what_takes_a_page_is_seen_as_that() {
        let page = page_size();
        let size = 3 * page + 5;
        let access = |from, len| What::Access { from, len };
        let truncate = |to: u64| {
            Call::parse(&format!(
                "{} 0x3 {to:#x} 0x0 0x0 0x0 0x0",
                libc::SYS_ftruncate
            ))
        };
        let read = Call::parse(&format!("{} 0x3 0x0 0x0 0x0 0x0 0x0", libc::SYS_read));
        let ring = Call::parse(&format!(
            "{} 0x3 0x0 0x0 0x0 0x0 0x0",
            libc::SYS_io_uring_enter
        ));
        let takes = |what: What, call| what.takes_pages(call, size);
        assert!(takes(access(0, page), truncate(5)));
        assert!(takes(access(3 * page, 0), truncate(3 * page)));
        assert!(
            !takes(access(3 * page, page), truncate(3 * page + 1)),
            "no whole page"
        );
        assert!(!takes(access(4 * page, 0), truncate(4 * page)), "it grows");
        assert!(!takes(access(0, page), truncate(u64::MAX)));
        assert!(!takes(access(0, page), read));
        assert!(!takes(access(0, 0), read), "a read of nothing");
        assert!(takes(access(0, 0), ring) && takes(access(0, 0), None));
        assert!(!takes(access(0, page), ring) && !takes(access(0, page), None));
        let flags = libc::O_RDWR | libc::O_TRUNC;
        let open = Call::parse(&format!(
            "{} 0x3 0x0 {flags:#x} 0x0 0x0 0x0",
            libc::SYS_openat
        ));
        assert!(takes(What::Open, open));
        assert!(!takes(What::Open, None) && !takes(What::Open, read));
        assert!(!What::Open.takes_pages(open, 0), "it is empty");
    }
}
