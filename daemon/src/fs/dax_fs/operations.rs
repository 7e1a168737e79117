// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All FUSE operations, in order. An operation that needs more than a line or two of delegation has
//! its code in a module beside this one.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared_window::ViewSource;
use virtiofsd::filesystem::{
    Context, Entry, Extensions, FileSystem, FsOptions, GetxattrReply, ListxattrReply, OpenOptions,
    SerializableFileSystem, SetattrValid, SetxattrFlags, ZeroCopyReader, ZeroCopyWriter,
};
use virtiofsd::fuse::{Attr, SetattrIn};

use super::{DaxFs, split};
use crate::fs::losses::Loss;
use crate::fs::lost_stores::Question;
use crate::fs::name::component;
use crate::fs::written::Event;
use crate::locks::Owner;

impl<F: FileSystem, S: ViewSource> FileSystem for DaxFs<F, S> {
    type Inode = F::Inode;
    type Handle = F::Handle;
    type DirIter = F::DirIter;

    fn init(&self, capable: FsOptions) -> io::Result<FsOptions> {
        self.negotiate(capable)
    }

    fn destroy(&self) {
        // Before the handles are closed, which gives up their locks.
        if let Some(locks) = &self.locks {
            locks.clear();
        }
        self.inner.destroy();
        if let Some(kept) = &self.kept {
            kept.forget_all();
        }
        if let Some(dax) = &self.dax {
            dax.forget_all();
        }
    }

    fn lookup(&self, ctx: Context, parent: Self::Inode, name: &CStr) -> io::Result<Entry> {
        component(name)?;
        let entry = self.inner.lookup(ctx, parent, name)?;
        Ok(self.mark_entry(ctx, entry))
    }

    /// Drops all that is cached for the node, without regard to its lookup count.
    fn forget(&self, ctx: Context, inode: Self::Inode, count: u64) {
        let (node, inode) = split(inode);
        self.inner.forget(ctx, inode, count);
        self.forget_node(node);
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
        nodes.into_iter().for_each(|node| self.forget_node(node));
    }

    fn getattr(
        &self,
        ctx: Context,
        inode: Self::Inode,
        handle: Option<Self::Handle>,
    ) -> io::Result<(Attr, Duration)> {
        let (node, inode) = split(inode);
        let (attr, timeout) = match &self.kept {
            Some(kept) => kept.attributes(&*self.inner, ctx, node, handle)?,
            None => self.inner.getattr(ctx, inode, handle)?,
        };
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
        self.open_file(ctx, inode, kill_priv, flags)
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
        self.create_file(ctx, flags, kill_priv, |flags| {
            self.inner
                .create(ctx, parent, name, mode, kill_priv, flags, umask, extensions)
        })
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
        // A write that fails has consumed nothing from the reader, so it can be repeated.
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
        if let Some(locks) = &self.locks {
            locks.flush(node, Owner(lock_owner));
        }
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
        self.allocate(ctx, inode, handle, mode, offset, length)
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
        if let Some(locks) = &self.locks {
            locks.release(node, handle);
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
        // There was no INIT here, so the flag is unknown. A handle that is open for reading too is
        // harmless to a guest without a write-back cache.
        self.writeback.store(true, Ordering::Relaxed);
        Ok(())
    }
}
