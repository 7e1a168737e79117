// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The mapped places of the host's files, for a server that is about to take pages from one.
//!
//! A guest's kernel removes its own mappings of a file before it truncates the file. It does not
//! know that another of its files may be the same one on the host, by another mount. Mappings of
//! that file would stay, and the VMM would be killed by SIGBUS at the first access.
//!
//! The lock is held only to read or change an entry, never across a call to the VMM or the file
//! system. So any thread may call [`MappedFiles::start_to_lose`], which does not block. Only a new
//! mapping of a file that is losing pages waits, in [`MappedFiles::enter`]. It waits for the
//! server's file system alone, and with a limit.
//!
//! Files are compared by [`FileId`], which two files may share. That is safe here: it may refuse an
//! operation that it could allow, and never allows one that it must refuse.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::units::{FileOffset, page_size};
use crate::view::{FileId, FileKey};

/// How long a mapping waits for a file that is losing pages. Longer than any working file system
/// takes; a mapping that waits keeps other mappings waiting.
const LOSS_LIMIT: Duration = Duration::from_secs(5);

/// The mapped places of the host's files. Clones share them.
#[derive(Clone, Default)]
pub struct MappedFiles(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signals that a loss is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// By inode number, then by the place's number: a file may be mapped in thousands of places.
    places: HashMap<u64, BTreeMap<u64, Place>>,
    losses: Vec<Loss>,
    next: u64,
}

/// A place that is mapped, or will be.
struct Place {
    device: u64,
    key: FileKey,
    bytes: Range<u64>,
}

/// An operation that may take pages from a file, and is not over.
struct Loss {
    number: u64,
    inode: u64,
    by: FileKey,
}

/// A place of a file is mapped as long as this exists.
pub(crate) struct Mapped {
    files: MappedFiles,
    inode: u64,
    number: u64,
}

/// A file may lose pages as long as this exists; new mappings of the file under another key wait.
#[derive(Debug)]
pub struct Losing {
    files: MappedFiles,
    inode: u64,
    number: u64,
}

/// A file has not stopped losing pages.
pub(crate) struct StillLosing;

impl MappedFiles {
    /// Begins an operation that may take pages from the file `by`, which has this inode number on
    /// the host. Does not block.
    #[must_use]
    pub fn start_to_lose(&self, inode: u64, by: FileKey) -> Losing {
        let mut state = self.lock();
        let number = state.take_number();
        state.losses.push(Loss { number, inode, by });
        Losing {
            files: self.clone(),
            inode,
            number,
        }
    }

    /// Records that a place is about to be mapped. Waits while the file loses pages under another
    /// key.
    pub(crate) fn enter(
        &self,
        file: FileId,
        key: &FileKey,
        from: FileOffset,
        len: u64,
    ) -> Result<Mapped, StillLosing> {
        self.enter_within(LOSS_LIMIT, file, key, from, len)
    }

    fn enter_within(
        &self,
        limit: Duration,
        file: FileId,
        key: &FileKey,
        from: FileOffset,
        len: u64,
    ) -> Result<Mapped, StillLosing> {
        let loses = |state: &mut State| {
            let mut losses = state.losses.iter();
            losses.any(|loss| loss.inode == file.inode && loss.by != *key)
        };
        let waited = self.0.over.wait_timeout_while(self.lock(), limit, loses);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(StillLosing);
        }
        let number = state.take_number();
        let place = Place {
            device: file.device,
            key: key.clone(),
            bytes: from.0..from.0.saturating_add(len),
        };
        let places = state.places.entry(file.inode).or_default();
        places.insert(number, place);
        Ok(Mapped {
            files: self.clone(),
            inode: file.inode,
            number,
        })
    }

    /// No step can panic with the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Losing {
    /// Whether a file with that inode number is mapped under another key at all. If not, no further
    /// check is needed.
    #[must_use]
    pub fn may_concern_another(&self) -> bool {
        self.other(|_| true).is_some()
    }

    /// The key that has pages mapped which the file on this `device` is about to lose: those of the
    /// bytes `lost`, except a page that keeps a byte.
    #[must_use]
    pub fn mapped_elsewhere(&self, device: u64, lost: Range<u64>) -> Option<FileKey> {
        let lost = lost.start.next_multiple_of(page_size())..lost.end;
        if lost.is_empty() {
            return None;
        }
        self.other(|place| {
            let (from, to) = (place.bytes.start, place.bytes.end);
            place.device == device && lost.start < to && from < lost.end
        })
    }

    fn other(&self, wanted: impl Fn(&Place) -> bool) -> Option<FileKey> {
        let state = self.files.lock();
        let by = &state
            .losses
            .iter()
            .find(|loss| loss.number == self.number)?
            .by;
        let mut places = state.places.get(&self.inode)?.values();
        let place = places.find(|place| place.key != *by && wanted(place))?;
        Some(place.key.clone())
    }
}

impl Drop for Losing {
    fn drop(&mut self) {
        let mut state = self.files.lock();
        state.losses.retain(|loss| loss.number != self.number);
        drop(state);
        self.files.0.over.notify_all();
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut state = self.files.lock();
        if let Some(places) = state.places.get_mut(&self.inode) {
            places.remove(&self.number);
            if places.is_empty() {
                state.places.remove(&self.inode);
            }
        }
    }
}

impl fmt::Debug for MappedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFiles").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const FILE: FileId = FileId {
        device: 1,
        inode: 7,
    };
    const RANGE: u64 = crate::LINUX_RANGE;

    fn node(number: u64) -> FileKey {
        FileKey::numbered(number)
    }

    fn enter(files: &MappedFiles, key: u64, from: u64) -> Mapped {
        let entered = files.enter(FILE, &node(key), FileOffset(from), RANGE);
        entered.ok().expect("nothing loses pages")
    }

    #[test]
    fn what_would_lose_pages_is_found_by_file_key_and_place() {
        let files = MappedFiles::default();
        let losing = files.start_to_lose(FILE.inode, node(1));
        drop(losing);
        let mapped = [enter(&files, 2, RANGE), enter(&files, 1, 0)];
        let losing = files.start_to_lose(FILE.inode, node(1));
        assert!(losing.may_concern_another());
        let found = |device, lost| losing.mapped_elsewhere(device, lost);
        assert_eq!(found(1, 0..u64::MAX), Some(node(2)));
        assert_eq!(found(1, 2 * RANGE - page_size()..u64::MAX), Some(node(2)));
        assert_eq!(found(1, RANGE..RANGE + 1), Some(node(2)));
        // Pages of another file, before or behind what is mapped, or that keep a byte.
        assert_eq!(found(2, 0..u64::MAX), None);
        assert_eq!(found(1, 0..RANGE), None);
        // A file that grows loses nothing.
        assert_eq!(found(1, RANGE + 3 * page_size()..RANGE + page_size()), None);
        assert_eq!(found(1, 2 * RANGE - page_size() + 1..u64::MAX), None);
        assert!(!files.start_to_lose(8, node(1)).may_concern_another());
        let by_the_other = files.start_to_lose(FILE.inode, node(2));
        assert_eq!(by_the_other.mapped_elsewhere(1, RANGE..u64::MAX), None);
        drop((losing, by_the_other, mapped));
        let losing = files.start_to_lose(FILE.inode, node(1));
        assert!(!losing.may_concern_another(), "all is unmapped");
    }

    #[test]
    fn a_mapping_waits_for_a_loss_under_another_key_alone() {
        let files = MappedFiles::default();
        let losing = files.start_to_lose(FILE.inode, node(1));
        drop(enter(&files, 1, 0));
        let (tell, told) = mpsc::channel();
        let there = files.clone();
        let waiting = thread::spawn(move || {
            let mapped = enter(&there, 2, 0);
            tell.send(()).unwrap();
            mapped
        });
        // There is no event to wait for: the mapping must not happen.
        let mapped = told.recv_timeout(Duration::from_millis(50));
        assert!(mapped.is_err(), "it was mapped meanwhile");
        assert!(!losing.may_concern_another());
        drop(losing);
        drop(waiting.join().unwrap());
    }

    #[test]
    fn a_loss_that_does_not_end_refuses_the_mapping() {
        let files = MappedFiles::default();
        let losing = files.start_to_lose(FILE.inode, node(1));
        let limit = Duration::from_millis(1);
        let refused = files.enter_within(limit, FILE, &node(2), FileOffset(0), RANGE);
        assert!(refused.is_err());
        drop(losing);
        drop(enter(&files, 2, 0));
    }
}
