// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeps descriptors of files whose attributes are asked for again and again.
//!
//! virtiofsd's file system remembers a file by its handle. So each GETATTR opens the file, asks, and
//! closes it, and only the asking is needed. The second GETATTR of a file within [`KEPT`] keeps an `O_PATH`
//! descriptor: the first one doesn't, since a program that looks once at each file of a directory would
//! pay for descriptors that no request uses.
//!
//! A descriptor keeps a removed file's blocks and a mount busy. So it is closed after [`KEPT`], when the
//! guest forgets the file, when the file has no name any more, and when the disk is full. Only a regular
//! file or a directory is kept: others can't be opened through virtiofsd's file system.
//!
//! Owner: the session, whose end closes all. Lock order: a slot, then the closer.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::Attr;
use virtiofsd::passthrough::stat::statx;
use virtiofsd::soft_idmap::Id as _;

use super::NodeId;
use super::open::with_file;

/// The most descriptors that are kept.
pub const KEPT_FILES: usize = 128;
/// A descriptor is closed after this time, or a third of it later, when the closer looks.
const KEPT: Duration = Duration::from_millis(750);

/// What is known of the nodes whose numbers leave this slot's remainder.
enum Slot {
    Empty,
    /// The node was asked for, once.
    Asked {
        node: NodeId,
        at: Instant,
    },
    Kept {
        node: NodeId,
        since: Instant,
        file: Arc<File>,
        /// How long the guest may keep attributes.
        timeout: Duration,
    },
}

/// How to answer a GETATTR.
enum Way {
    ByFile(Arc<File>, Duration),
    /// As ever, and the file is to be kept if it is still the one that was asked for at this time.
    ThenKeep(Instant),
    AsEver,
}

struct Shared {
    slots: [Mutex<Slot>; KEPT_FILES],
    /// [`KEPT`], but for tests.
    time: Duration,
    closer: Mutex<Closer>,
    changed: Condvar,
}

#[derive(Default)]
struct Closer {
    /// How many slots have a descriptor.
    kept: usize,
    ended: bool,
}

/// See the module's documentation. The thread that closes descriptors ends when this is dropped.
pub struct KeptFiles(Arc<Shared>);

impl KeptFiles {
    /// Starts the thread that closes what was kept for long enough. It sleeps while nothing is kept.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::keeping_for(KEPT)
    }

    fn keeping_for(time: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            slots: [const { Mutex::new(Slot::Empty) }; KEPT_FILES],
            time,
            closer: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("close-kept".to_owned());
        thread.spawn(move || theirs.close_what_is_old())?;
        Ok(Self(shared))
    }

    /// GETATTR: as `fs` answers it, where IDs are not translated.
    ///
    /// # Errors
    /// The file system's.
    pub fn attributes<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        handle: Option<F::Handle>,
    ) -> io::Result<(Attr, Duration)> {
        let asked = match self.0.way(node) {
            Way::ByFile(file, timeout) => match attributes(&file) {
                Ok(attr) if attr.nlink > 0 => return Ok((attr, timeout)),
                // While it is open the file system would find it.
                _ => {
                    drop(file);
                    self.forget(node);
                    None
                }
            },
            Way::ThenKeep(asked) => Some(asked),
            Way::AsEver => None,
        };
        let (attr, timeout) = fs.getattr(context, F::Inode::from(node.0), handle)?;
        if let Some(asked) = asked
            && can_be_kept(&attr)
        {
            let look = |file: std::os::fd::BorrowedFd<'_>| file.try_clone_to_owned();
            match with_file(fs, context, node, libc::O_PATH, look) {
                Ok(file) => self.0.keep(node, asked, file.into(), timeout),
                // The answer is there, and the next one will be had in the same way.
                Err(error) => log::debug!("cannot keep node {}: {error}", node.0),
            }
        }
        Ok((attr, timeout))
    }

    /// Closes the descriptor of a node, if there is one.
    pub fn forget(&self, node: NodeId) {
        let mut slot = self.0.slot(node).lock();
        let there = matches!(
            &*slot,
            Slot::Asked { node: of, .. } | Slot::Kept { node: of, .. } if *of == node
        );
        let file = there.then(|| self.0.empty(&mut slot));
        drop(slot);
        drop(file);
    }

    /// Closes all descriptors; whether there was one.
    pub fn forget_all(&self) -> bool {
        let slots = self.0.slots.iter();
        slots.fold(false, |any, slot| {
            let file = self.0.empty(&mut slot.lock());
            any || file.is_some()
        })
    }
}

impl Drop for KeptFiles {
    fn drop(&mut self) {
        self.0.closer.lock().ended = true;
        self.0.changed.notify_one();
        self.forget_all();
    }
}

impl Shared {
    fn slot(&self, node: NodeId) -> &Mutex<Slot> {
        &self.slots[node.0 as usize % KEPT_FILES]
    }

    fn way(&self, node: NodeId) -> Way {
        let mut slot = self.slot(node).lock();
        match &*slot {
            Slot::Kept {
                node: of,
                file,
                timeout,
                ..
            } if *of == node => Way::ByFile(Arc::clone(file), *timeout),
            // Another file of this slot waits until this one is old: to and fro would cost more than
            // nothing kept at all.
            Slot::Kept { .. } => Way::AsEver,
            Slot::Asked { node: of, at } if *of == node && at.elapsed() < self.time => {
                Way::ThenKeep(*at)
            }
            Slot::Asked { .. } | Slot::Empty => {
                let at = Instant::now();
                *slot = Slot::Asked { node, at };
                Way::AsEver
            }
        }
    }

    /// Keeps a file, unless the node was forgotten, or kept by another thread, since it was `asked` for.
    fn keep(&self, node: NodeId, asked: Instant, file: File, timeout: Duration) {
        let mut slot = self.slot(node).lock();
        if matches!(&*slot, Slot::Asked { node: of, at } if *of == node && *at == asked) {
            *slot = Slot::Kept {
                node,
                since: Instant::now(),
                file: Arc::new(file),
                timeout,
            };
            let mut closer = self.closer.lock();
            closer.kept += 1;
            if closer.kept == 1 {
                self.changed.notify_one();
            }
        }
    }

    /// Empties a slot. The caller drops the file when the slot is unlocked: to close the last descriptor of
    /// a removed file takes as long as its blocks are many.
    fn empty(&self, slot: &mut Slot) -> Option<Arc<File>> {
        match std::mem::replace(slot, Slot::Empty) {
            Slot::Kept { file, .. } => {
                self.closer.lock().kept -= 1;
                Some(file)
            }
            Slot::Asked { .. } | Slot::Empty => None,
        }
    }

    fn close_what_is_old(&self) {
        let mut closer = self.closer.lock();
        while !closer.ended {
            if closer.kept == 0 {
                self.changed.wait(&mut closer);
                continue;
            }
            self.changed.wait_for(&mut closer, self.time / 3);
            // A slot's lock comes first.
            drop(closer);
            for slot in &self.slots {
                let mut slot = slot.lock();
                let old =
                    matches!(&*slot, Slot::Kept { since, .. } if since.elapsed() >= self.time);
                let file = old.then(|| self.empty(&mut slot));
                drop(slot);
                drop(file);
            }
            closer = self.closer.lock();
        }
    }
}

fn attributes(file: &Arc<File>) -> io::Result<Attr> {
    let stat = statx(&**file, None)?.st;
    Attr::try_from_stat64(
        stat,
        |uid| Ok(uid.into_inner().into()),
        |gid| Ok(gid.into_inner().into()),
    )
}

fn can_be_kept(attr: &Attr) -> bool {
    attr.nlink > 0 && matches!(attr.mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR)
}

#[cfg(test)]
mod tests;
