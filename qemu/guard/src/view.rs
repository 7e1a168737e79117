// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tells views from other files.
//!
//! The companion of `virtiofs-daxd` makes views in a FUSE mount of its own. It marks them by the
//! result of fstat: the size and the upper half of the inode number (`REPORTED_SIZE` and
//! `FIRST_INODE` in `shared-window/src/view`).

use core::ffi::c_int;

use crate::sys;

/// FUSE_SUPER_MAGIC of linux/magic.h.
const FUSE: i64 = 0x6573_5546;

/// The size of every view.
const SIZE: u64 = (i64::MAX as u64) & !((2 << 20) - 1);

/// The upper half of the inode number of every view: "DAXV".
const MARK: u64 = 0x4441_5856;

/// The ioctl by which lost pages are reported to a view's server: `_IOW('D', 1, Told)`.
const TELL: u32 = 0x4018_4401;

/// The argument of that ioctl.
#[repr(C)]
struct Told {
    /// The offset in the file of the first lost page.
    offset: u64,
    /// The number of lost pages.
    pages: u64,
    /// 1 if the guest has stored to them.
    stored: u64,
}

/// The identity of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewId {
    device: (u32, u32),
    inode: u64,
}

impl ViewId {
    pub(crate) const NONE: Self = Self {
        device: (0, 0),
        inode: 0,
    };

    /// The view behind a descriptor; `None` if the descriptor is another file's.
    pub(crate) fn of(descriptor: c_int) -> Option<Self> {
        if sys::file_system(descriptor).ok()? != FUSE {
            return None;
        }
        let stat = sys::stat(descriptor).ok()?;
        let is_view = stat.stx_size == SIZE && stat.stx_ino >> 32 == MARK;
        is_view.then_some(Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
        })
    }
}

/// A duplicate descriptor of a view, closed when dropped.
pub(crate) struct ViewFile {
    descriptor: c_int,
}

impl ViewFile {
    /// Duplicates `descriptor`, if it is one of `view`.
    ///
    /// This process once used the number for the view. QEMU keeps the descriptor open as long as
    /// the mapping. A program that does not may have given the number to another file since, so the
    /// duplicate is checked again.
    pub(crate) fn duplicate(descriptor: c_int, view: ViewId) -> Option<Self> {
        if ViewId::of(descriptor) != Some(view) {
            return None;
        }
        let own = Self {
            descriptor: sys::duplicate(descriptor).ok()?,
        };
        (ViewId::of(own.descriptor) == Some(view)).then_some(own)
    }

    /// A duplicate of any descriptor, which need not be a view's.
    #[cfg(test)]
    pub(crate) fn of_any(descriptor: c_int) -> Self {
        Self {
            descriptor: sys::duplicate(descriptor).unwrap(),
        }
    }

    /// Whether the file, not its view, ends at `offset` or before.
    pub(crate) fn ends_before(&self, offset: u64) -> bool {
        sys::read_byte(self.descriptor, offset) == Ok(0)
    }

    /// Reports lost pages to the view's server.
    pub(crate) fn tell(&self, offset: u64, pages: u64, stored: bool) {
        let told = Told {
            offset,
            pages,
            stored: stored.into(),
        };
        sys::control(self.descriptor, TELL, &told);
    }

    pub(crate) fn descriptor(&self) -> c_int {
        self.descriptor
    }
}

impl Drop for ViewFile {
    fn drop(&mut self) {
        sys::close(self.descriptor);
    }
}
