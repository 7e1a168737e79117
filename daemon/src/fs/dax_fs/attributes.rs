// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the guest learns about DAX: by INIT, and by a file's attributes.

use std::io;
use std::sync::atomic::Ordering;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, Entry, FileSystem, FsOptions};
use virtiofsd::fuse::{ATTR_DAX, ATTR_SUBMOUNT, Attr};

use super::DaxFs;
use crate::fs::NodeId;

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// INIT: what the guest and the file system agree on.
    pub(super) fn negotiate(&self, capable: FsOptions) -> io::Result<FsOptions> {
        // Before the handles of an earlier guest are closed, as in DESTROY.
        if let Some(locks) = &self.locks {
            locks.clear();
        }
        // Without SUBMOUNTS virtiofsd prints a line, which our log limit could not limit.
        let mut options = self.inner.init(capable | FsOptions::SUBMOUNTS)?;
        // INIT forgets what a guest before has left.
        if let Some(kept) = &self.kept {
            kept.forget_all();
        }
        let hides_mounts = !capable.contains(FsOptions::SUBMOUNTS);
        self.hides_mounts.store(hides_mounts, Ordering::Relaxed);
        let usable = self
            .dax
            .as_ref()
            .is_some_and(|dax| dax.negotiated.is_usable());
        if usable {
            options |= FsOptions::HAS_INODE_DAX;
        }
        if self.locks.is_some() {
            options |= FsOptions::POSIX_LOCKS | FsOptions::FLOCK_LOCKS;
        }
        let heeded = usable && capable.contains(FsOptions::HAS_INODE_DAX);
        self.heeded.store(heeded, Ordering::Relaxed);
        if let Some(dax) = &self.dax {
            let kills = options.contains(FsOptions::HANDLE_KILLPRIV_V2);
            dax.kills_privileges.store(kills, Ordering::Relaxed);
        }
        let writeback = options.contains(FsOptions::WRITEBACK_CACHE);
        self.writeback.store(writeback, Ordering::Relaxed);
        Ok(options)
    }

    pub(super) fn mark(&self, context: Context, node: NodeId, mut attr: Attr) -> Attr {
        if let Some(dax) = self.heeding()
            && dax.negotiated.is_usable()
            && dax.eligibility.cover(&*self.inner, context, node, &attr)
        {
            attr.flags |= ATTR_DAX;
        }
        attr
    }

    pub(super) fn mark_entry(&self, context: Context, mut entry: Entry) -> Entry {
        if entry.attr.flags & ATTR_SUBMOUNT != 0 && self.hides_mounts.load(Ordering::Relaxed) {
            entry.attr.flags &= !ATTR_SUBMOUNT;
        }
        // Inode 0 is a negative entry.
        if entry.inode != 0 {
            let node = NodeId(entry.inode);
            entry.attr = self.mark(context, node, entry.attr);
            if let Some(dax) = self.heeding() {
                entry.generation = dax.eligibility.generation(node);
            }
        }
        entry
    }
}
