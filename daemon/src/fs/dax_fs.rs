// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! virtiofsd's file system with DAX in its INIT and its attributes.
//!
//! Mechanical: every method delegates, once names are known to be such ([`super::name`]). What is
//! promised is decided in [`super::promise`].

mod opening;
mod room;
mod times;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared_window::{View, ViewSource};
use virtiofsd::filesystem::{
    Context, Entry, Extensions, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions,
    SerializableFileSystem, SetattrValid, SetxattrFlags, ZeroCopyReader, ZeroCopyWriter,
};
use virtiofsd::fuse::{ATTR_DAX, ATTR_SUBMOUNT, Attr, SetattrIn};

use self::opening::readable;
use super::losses::{Loss, Losses};
use super::lost_stores::{LostStores, Question};
use super::name::component;
use super::written::Event;
use super::{NodeCache, NodeId, Promises, WindowTaken, Written};

/// The flag of OPEN and CREATE that empties a file.
const TRUNCATE: u32 = libc::O_TRUNC as u32;
/// The flags of CREATE that make a file.
const MAKE: u32 = (libc::O_CREAT | libc::O_EXCL) as u32;
/// The mode of FALLOCATE that makes a file shorter.
const COLLAPSE: u32 = libc::FALLOC_FL_COLLAPSE_RANGE as u32;

/// What a share with a window remembers about its files.
pub struct Dax<S> {
    /// Which files are promised.
    pub promises: Promises<S>,
    /// The views of files that were mapped lately.
    pub views: NodeCache<Arc<View>>,
    /// What the guest may not take from a file.
    pub losses: Losses,
    /// Which files may have been stored into.
    pub written: Written,
    /// The guest leaves it to this daemon to take set-user-ID and the like from what is written to
    /// (`--killpriv-v2`).
    pub kills_privileges: AtomicBool,
    /// What the guest has stored to pages that were gone.
    pub lost_stores: LostStores,
    /// Unless it is usable nothing is promised.
    pub taken: WindowTaken,
}

impl<S: ViewSource> Dax<S> {
    fn forget(&self, node: NodeId) {
        self.written.forget(node);
        self.promises.forget(node);
        self.views.forget(node);
        self.lost_stores.forget(node);
    }

    /// Lets go of everything, for a guest that starts anew.
    pub fn forget_all(&self) {
        self.promises.begin_anew();
        self.written.clear();
        self.views.clear();
        self.lost_stores.forget_all();
    }
}

/// A file system whose files may be mapped, where there is a window. Clones are the same one.
pub struct DaxFs<F, S> {
    inner: Arc<F>,
    dax: Option<Arc<Dax<S>>>,
    /// The guest has a window and has said that it heeds `FUSE_ATTR_DAX`. For any other one no file
    /// is examined.
    heeded: Arc<AtomicBool>,
    /// The guest does not know which directories are mounts, so it is not shown.
    hides_mounts: Arc<AtomicBool>,
    /// The guest's kernel caches writes (`--writeback`), so it may read what it has open for writing.
    writeback: Arc<AtomicBool>,
}

impl<F, S> Clone for DaxFs<F, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            dax: self.dax.clone(),
            heeded: Arc::clone(&self.heeded),
            hides_mounts: Arc::clone(&self.hides_mounts),
            writeback: Arc::clone(&self.writeback),
        }
    }
}

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Wraps `inner`; without `dax` it behaves exactly as `inner` does.
    #[must_use]
    pub fn new(inner: Arc<F>, dax: Option<Arc<Dax<S>>>) -> Self {
        Self {
            inner,
            dax,
            heeded: Arc::default(),
            hides_mounts: Arc::default(),
            writeback: Arc::default(),
        }
    }

    /// The file system that is wrapped.
    #[must_use]
    pub fn inner(&self) -> &F {
        &self.inner
    }

    fn mark(&self, context: Context, node: NodeId, mut attr: Attr) -> Attr {
        if let Some(dax) = self.heeding()
            && dax.taken.is_usable()
            && dax.promises.cover(&*self.inner, context, node, &attr)
        {
            attr.flags |= ATTR_DAX;
        }
        attr
    }

    fn mark_entry(&self, context: Context, mut entry: Entry) -> Entry {
        if entry.attr.flags & ATTR_SUBMOUNT != 0 && self.hides_mounts.load(Ordering::Relaxed) {
            entry.attr.flags &= !ATTR_SUBMOUNT;
        }
        // Inode 0 is a negative entry.
        if entry.inode != 0 {
            let node = NodeId(entry.inode);
            entry.attr = self.mark(context, node, entry.attr);
            if let Some(dax) = self.heeding() {
                entry.generation = dax.promises.generation(node);
            }
        }
        entry
    }

    /// Does what may take pages from the file of `node`, unless they are mapped under another node.
    fn lose<T>(
        &self,
        context: Context,
        node: NodeId,
        loss: Loss,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _losing = match &self.dax {
            Some(dax) => Some(dax.losses.begin(&*self.inner, context, node, loss)?),
            None => None,
        };
        work()
    }

    /// What is remembered for a guest that heeds promises.
    fn heeding(&self) -> Option<&Dax<S>> {
        let heeded = self.heeded.load(Ordering::Relaxed);
        self.dax.as_deref().filter(|_| heeded)
    }

    /// Fails if the guest has stored to pages of the file that were gone.
    fn answer_for_stores(&self, node: NodeId, handle: u64, question: Question) -> io::Result<()> {
        match &self.dax {
            Some(dax) => dax.lost_stores.answer(node, handle, question),
            None => Ok(()),
        }
    }

    /// Notes what an OPEN or CREATE has opened, and gives it back.
    fn note_open(&self, node: NodeId, handle: Option<F::Handle>) -> Option<F::Handle> {
        let handle: u64 = handle?.into();
        if let Some(dax) = &self.dax {
            dax.lost_stores.handle_opened(node, handle);
        }
        Some(handle.into())
    }

    fn let_go(&self, node: NodeId) {
        if let Some(dax) = &self.dax {
            dax.forget(node);
        }
    }
}

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Empties a file that a CREATE has opened, if there is anything in it: by another open, as
    /// virtiofsd's file system does for a file that was there before.
    fn truncate_created(
        &self,
        ctx: Context,
        kill_priv: bool,
        flags: u32,
        mut entry: Entry,
        handle: Option<F::Handle>,
        options: OpenOptions,
    ) -> io::Result<(Entry, Option<F::Handle>, OpenOptions)> {
        if entry.attr.size == 0 {
            return Ok((entry, handle, options));
        }
        let inode = || F::Inode::from(entry.inode);
        let emptied = self.open(ctx, inode(), kill_priv, flags & !MAKE);
        if let Some(handle) = handle {
            // As an O_TRUNC that fails leaves no descriptor behind.
            let released = self
                .inner
                .release(ctx, inode(), 0, handle, false, false, None);
            if let Err(error) = released {
                log::debug!("cannot release a handle of node {}: {error}", entry.inode);
            }
        }
        match emptied {
            Ok((handle, _)) => {
                entry.attr.size = 0;
                if let Ok((attr, _)) = self.inner.getattr(ctx, inode(), None) {
                    entry.attr = attr;
                }
                Ok((entry, handle, options))
            }
            Err(error) => {
                self.inner.forget(ctx, inode(), 1);
                Err(error)
            }
        }
    }
}

/// The trait takes inodes by value and they need not be `Copy`.
fn split<I: From<u64> + Into<u64>>(inode: I) -> (NodeId, I) {
    let number: u64 = inode.into();
    (NodeId(number), I::from(number))
}

impl<F: FileSystem, S: ViewSource> FileSystem for DaxFs<F, S> {
    type Inode = F::Inode;
    type Handle = F::Handle;
    type DirIter = F::DirIter;

    fn init(&self, capable: FsOptions) -> io::Result<FsOptions> {
        // Without SUBMOUNTS virtiofsd prints a line, which no log could limit.
        let mut options = self.inner.init(capable | FsOptions::SUBMOUNTS)?;
        let hides_mounts = !capable.contains(FsOptions::SUBMOUNTS);
        self.hides_mounts.store(hides_mounts, Ordering::Relaxed);
        let usable = self.dax.as_ref().is_some_and(|dax| dax.taken.is_usable());
        if usable {
            options |= FsOptions::HAS_INODE_DAX;
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

    fn destroy(&self) {
        self.inner.destroy();
        if let Some(dax) = &self.dax {
            dax.forget_all();
        }
    }

    fn lookup(&self, ctx: Context, parent: Self::Inode, name: &CStr) -> io::Result<Entry> {
        component(name)?;
        let entry = self.inner.lookup(ctx, parent, name)?;
        Ok(self.mark_entry(ctx, entry))
    }

    /// Lets go of the node whatever its lookup count says: it is only a cache.
    fn forget(&self, ctx: Context, inode: Self::Inode, count: u64) {
        let (node, inode) = split(inode);
        self.inner.forget(ctx, inode, count);
        self.let_go(node);
    }

    fn batch_forget(&self, ctx: Context, requests: Vec<(Self::Inode, u64)>) {
        let (nodes, requests): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|(inode, count)| {
                let (node, inode) = split(inode);
                (node, (inode, count))
            })
            .unzip();
        self.inner.batch_forget(ctx, requests);
        nodes.into_iter().for_each(|node| self.let_go(node));
    }

    fn getattr(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Option<Self::Handle>,
    ) -> io::Result<(Attr, Duration)> {
        let (node, inode) = split(inode);
        let (attr, timeout) = self.inner.getattr(ctx, inode, handle)?;
        Ok((self.mark(ctx, node, attr), timeout))
    }

    fn setattr(
        &self,
        ctx: Context,
        inode: Self::Inode,
        attr: SetattrIn,
        handle: Option<Self::Handle>,
        valid: SetattrValid,
    ) -> io::Result<(Attr, Duration)> {
        let (node, inode) = split(inode);
        self.note_time(ctx, node, valid);
        let set = || self.inner.setattr(ctx, inode, attr, handle, valid);
        let (attr, timeout) = if valid.contains(SetattrValid::SIZE) {
            self.lose(ctx, node, Loss::To(attr.size), set)?
        } else {
            set()?
        };
        Ok((self.mark(ctx, node, attr), timeout))
    }

    fn readlink(&self, ctx: Context, inode: Self::Inode) -> io::Result<Vec<u8>> {
        self.inner.readlink(ctx, inode)
    }

    fn symlink(
        &self,
        ctx: Context,
        linkname: &CStr,
        parent: Self::Inode,
        name: &CStr,
        extensions: Extensions,
    ) -> io::Result<Entry> {
        component(name)?;
        self.inner.symlink(ctx, linkname, parent, name, extensions)
    }

    fn mknod(
        &self,
        ctx: Context,
        inode: Self::Inode,
        name: &CStr,
        mode: u32,
        rdev: u32,
        umask: u32,
        extensions: Extensions,
    ) -> io::Result<Entry> {
        component(name)?;
        let entry = self
            .inner
            .mknod(ctx, inode, name, mode, rdev, umask, extensions)?;
        Ok(self.mark_entry(ctx, entry))
    }

    fn mkdir(
        &self,
        ctx: Context,
        parent: Self::Inode,
        name: &CStr,
        mode: u32,
        umask: u32,
        extensions: Extensions,
    ) -> io::Result<Entry> {
        component(name)?;
        self.inner.mkdir(ctx, parent, name, mode, umask, extensions)
    }

    fn unlink(&self, ctx: Context, parent: Self::Inode, name: &CStr) -> io::Result<()> {
        component(name)?;
        self.inner.unlink(ctx, parent, name)
    }

    fn rmdir(&self, ctx: Context, parent: Self::Inode, name: &CStr) -> io::Result<()> {
        component(name)?;
        self.inner.rmdir(ctx, parent, name)
    }

    fn rename(
        &self,
        ctx: Context,
        olddir: Self::Inode,
        oldname: &CStr,
        newdir: Self::Inode,
        newname: &CStr,
        flags: u32,
    ) -> io::Result<()> {
        component(oldname)?;
        component(newname)?;
        self.inner
            .rename(ctx, olddir, oldname, newdir, newname, flags)
    }

    fn link(
        &self,
        ctx: Context,
        inode: Self::Inode,
        newparent: Self::Inode,
        newname: &CStr,
    ) -> io::Result<Entry> {
        component(newname)?;
        let entry = self.inner.link(ctx, inode, newparent, newname)?;
        Ok(self.mark_entry(ctx, entry))
    }

    fn open(
        &self,
        ctx: Context,
        inode: Self::Inode,
        kill_priv: bool,
        flags: u32,
    ) -> io::Result<(Option<Self::Handle>, OpenOptions)> {
        let (node, inode) = split(inode);
        let (handle, options) = if flags & TRUNCATE == 0 {
            self.open_to_read_or_write(ctx, inode, kill_priv, flags)?
        } else {
            self.lose(ctx, node, Loss::To(0), || {
                self.inner.open(ctx, inode, kill_priv, flags)
            })?
        };
        Ok((self.note_open(node, handle), options))
    }

    fn create(
        &self,
        ctx: Context,
        parent: Self::Inode,
        name: &CStr,
        mode: u32,
        kill_priv: bool,
        flags: u32,
        umask: u32,
        extensions: Extensions,
    ) -> io::Result<(Entry, Option<Self::Handle>, OpenOptions)> {
        component(name)?;
        let flags = if self.writeback.load(Ordering::Relaxed) {
            readable(flags)
        } else {
            flags
        };
        let create = |flags| {
            self.inner
                .create(ctx, parent, name, mode, kill_priv, flags, umask, extensions)
        };
        let (entry, handle, options) = if self.dax.is_some() && flags & TRUNCATE != 0 {
            // It may be there already, so that this is an open of a node that is not known yet.
            let (entry, handle, options) = create(flags & !TRUNCATE)?;
            self.truncate_created(ctx, kill_priv, flags, entry, handle, options)?
        } else {
            create(flags)?
        };
        let handle = self.note_open(NodeId(entry.inode), handle);
        Ok((self.mark_entry(ctx, entry), handle, options))
    }

    fn read<W: ZeroCopyWriter>(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        w: W,
        size: u32,
        offset: u64,
        lock_owner: Option<u64>,
        flags: u32,
    ) -> io::Result<usize> {
        self.inner
            .read(ctx, inode, handle, w, size, offset, lock_owner, flags)
    }

    fn write<R: ZeroCopyReader>(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        mut r: R,
        size: u32,
        offset: u64,
        lock_owner: Option<u64>,
        delayed_write: bool,
        kill_priv: bool,
        flags: u32,
    ) -> io::Result<usize> {
        let (inode, handle): (u64, u64) = (inode.into(), handle.into());
        // A write that fails has taken nothing from the reader.
        self.with_room(ctx, || {
            self.inner.write(
                ctx,
                inode.into(),
                handle.into(),
                &mut r,
                size,
                offset,
                lock_owner,
                delayed_write,
                kill_priv,
                flags,
            )
        })
    }

    fn flush(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        lock_owner: u64,
    ) -> io::Result<()> {
        let (node, inode) = split(inode);
        let handle: u64 = handle.into();
        self.note_stores(ctx, node, handle, Event::Sync);
        self.inner.flush(ctx, inode, handle.into(), lock_owner)?;
        self.answer_for_stores(node, handle, Question::Flush)
    }

    fn fsync(
        &self,
        ctx: Context,
        inode: Self::Inode,
        datasync: bool,
        handle: Self::Handle,
    ) -> io::Result<()> {
        let (node, inode) = split(inode);
        let handle: u64 = handle.into();
        self.note_stores(ctx, node, handle, Event::Sync);
        self.inner.fsync(ctx, inode, datasync, handle.into())?;
        self.answer_for_stores(node, handle, Question::Fsync)
    }

    fn fallocate(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        mode: u32,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        if mode & COLLAPSE == 0 {
            // A hole has zeros, which a mapping shows.
            let (inode, handle): (u64, u64) = (inode.into(), handle.into());
            return self.with_room(ctx, || {
                self.inner
                    .fallocate(ctx, inode.into(), handle.into(), mode, offset, length)
            });
        }
        let (node, inode) = split(inode);
        self.lose(ctx, node, Loss::Of(length), || {
            self.inner
                .fallocate(ctx, inode, handle, mode, offset, length)
        })
    }

    fn release(
        &self,
        ctx: Context,
        inode: Self::Inode,
        flags: u32,
        handle: Self::Handle,
        flush: bool,
        flock_release: bool,
        lock_owner: Option<u64>,
    ) -> io::Result<()> {
        let (node, inode) = split(inode);
        let handle: u64 = handle.into();
        self.note_stores(ctx, node, handle, Event::Release);
        if let Some(dax) = &self.dax {
            dax.lost_stores.handle_released(node, handle);
        }
        let handle = handle.into();
        self.inner
            .release(ctx, inode, flags, handle, flush, flock_release, lock_owner)
    }

    fn statfs(&self, ctx: Context, inode: Self::Inode) -> io::Result<libc::statvfs64> {
        self.inner.statfs(ctx, inode)
    }

    fn setxattr(
        &self,
        ctx: Context,
        inode: Self::Inode,
        name: &CStr,
        value: &[u8],
        flags: u32,
        extra_flags: SetxattrFlags,
    ) -> io::Result<()> {
        self.inner
            .setxattr(ctx, inode, name, value, flags, extra_flags)
    }

    fn getxattr(
        &self,
        ctx: Context,
        inode: Self::Inode,
        name: &CStr,
        size: u32,
    ) -> io::Result<GetxattrReply> {
        self.inner.getxattr(ctx, inode, name, size)
    }

    fn listxattr(&self, ctx: Context, inode: Self::Inode, size: u32) -> io::Result<ListxattrReply> {
        self.inner.listxattr(ctx, inode, size)
    }

    fn removexattr(&self, ctx: Context, inode: Self::Inode, name: &CStr) -> io::Result<()> {
        self.inner.removexattr(ctx, inode, name)
    }

    fn opendir(
        &self,
        ctx: Context,
        inode: Self::Inode,
        flags: u32,
    ) -> io::Result<(Option<Self::Handle>, OpenOptions)> {
        self.inner.opendir(ctx, inode, flags)
    }

    fn readdir(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        size: u32,
        offset: u64,
    ) -> io::Result<Self::DirIter> {
        self.inner.readdir(ctx, inode, handle, size, offset)
    }

    fn fsyncdir(
        &self,
        ctx: Context,
        inode: Self::Inode,
        datasync: bool,
        handle: Self::Handle,
    ) -> io::Result<()> {
        self.inner.fsyncdir(ctx, inode, datasync, handle)
    }

    fn releasedir(
        &self,
        ctx: Context,
        inode: Self::Inode,
        flags: u32,
        handle: Self::Handle,
    ) -> io::Result<()> {
        self.inner.releasedir(ctx, inode, flags, handle)
    }

    fn access(&self, ctx: Context, inode: Self::Inode, mask: u32) -> io::Result<()> {
        self.inner.access(ctx, inode, mask)
    }

    fn lseek(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Self::Handle,
        offset: u64,
        whence: u32,
    ) -> io::Result<u64> {
        self.inner.lseek(ctx, inode, handle, offset, whence)
    }

    fn copyfilerange(
        &self,
        ctx: Context,
        inode_in: Self::Inode,
        handle_in: Self::Handle,
        offset_in: u64,
        inode_out: Self::Inode,
        handle_out: Self::Handle,
        offset_out: u64,
        len: u64,
        flags: u64,
    ) -> io::Result<usize> {
        self.inner.copyfilerange(
            ctx, inode_in, handle_in, offset_in, inode_out, handle_out, offset_out, len, flags,
        )
    }

    fn syncfs(&self, ctx: Context, inode: Self::Inode) -> io::Result<()> {
        self.inner.syncfs(ctx, inode)
    }

    fn getlk(&self) -> io::Result<()> {
        self.inner.getlk()
    }

    fn setlk(&self) -> io::Result<()> {
        self.inner.setlk()
    }

    fn setlkw(&self) -> io::Result<()> {
        self.inner.setlkw()
    }

    fn ioctl(&self) -> io::Result<()> {
        self.inner.ioctl()
    }

    fn bmap(&self) -> io::Result<()> {
        self.inner.bmap()
    }

    fn poll(&self) -> io::Result<()> {
        self.inner.poll()
    }

    fn notify_reply(&self) -> io::Result<()> {
        self.inner.notify_reply()
    }

    fn tmpfile(&self) -> io::Result<(Entry, Option<Self::Handle>, OpenOptions)> {
        self.inner.tmpfile()
    }
}

impl<F: SerializableFileSystem, S: ViewSource> SerializableFileSystem for DaxFs<F, S> {
    fn prepare_serialization(&self, cancel: Arc<AtomicBool>) {
        self.inner.prepare_serialization(cancel);
    }

    fn serialize(&self, state_pipe: File) -> io::Result<()> {
        self.inner.serialize(state_pipe)
    }

    fn deserialize_and_apply(&self, state_pipe: File) -> io::Result<()> {
        self.inner.deserialize_and_apply(state_pipe)?;
        // There was no INIT here. A handle that can be read too does no harm to a guest without a
        // write-back cache.
        self.writeback.store(true, Ordering::Relaxed);
        Ok(())
    }
}
