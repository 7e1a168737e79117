// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The place in which inputs are played: a share, and beside it files that must not be touched.
//!
//! ```text
//!   /mnt, a tmpfs in a mount namespace of this thread alone
//!     ├── share/     what the guest gets; the thread's root while an input is played
//!     └── outside/   the canary: read, written, listed or not, it shows
//! ```
//!
//! The daemon's own containment is a root of its own (`--sandbox=namespace` and `chroot`).
//! virtiofsd's library relies on it: the library checks no names. So an input is played in a
//! chroot. The working directory stays outside, where libFuzzer finds its corpus. The mount
//! namespace vanishes with the process. Like the daemon's sandbox, this needs root.

mod canary;
mod prison;
mod share;

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

use canary::Canary;
pub use prison::Prison;
use share::Share;

/// A directory that exists on every machine, and that this process does not need.
const PLACE: &str = "/mnt";

/// The ground of one thread.
pub struct Ground {
    share: Share,
    canary: Canary,
    proc_self_fd: File,
    share_dir: OwnedFd,
}

thread_local! {
    static GROUND: RefCell<Option<Ground>> = const { RefCell::new(None) };
}

/// Plays `input` on this thread's ground, with the share in its first state, and checks the canary.
///
/// # Panics
/// If something outside the share was touched, or the host doesn't permit a ground.
pub fn play<T>(input: impl FnOnce(&Ground) -> T) -> T {
    GROUND.with_borrow_mut(|slot| {
        let ground = slot.get_or_insert_with(Ground::prepare);
        ground.share.restore();
        let result = input(ground);
        ground.canary.check();
        result
    })
}

impl Ground {
    fn prepare() -> Self {
        prison::install_hook();
        // SAFETY: the call is unsafe because of flags that affect descriptors. Neither of these two
        // does.
        let unshared =
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) };
        unshared.expect("a mount namespace of its own, for which fuzz targets need root");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("mounts that nobody else sees");
        let flags = MountFlags::from_bits_retain(libc::MS_STRICTATIME as _);
        let options = c"size=64m,nr_inodes=4096,mode=0755";
        rustix::mount::mount("none", PLACE, "tmpfs", flags, options).expect("a tmpfs");
        let place = Path::new(PLACE);
        let share = Share::create(&place.join("share"));
        let canary = Canary::create(&place.join("outside"));
        let open = |path: &Path, flags| {
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).expect("a directory")
        };
        Self {
            proc_self_fd: open(Path::new("/proc/self/fd"), OFlags::PATH).into(),
            share_dir: open(share.path(), OFlags::PATH | OFlags::DIRECTORY),
            share,
            canary,
        }
    }

    /// Enters the share. A drop of the result leaves it again.
    #[must_use]
    pub fn lock_up(&self) -> Prison {
        Prison::enter(&self.share_dir)
    }

    /// `/proc/self/fd`, which the file system needs and can't open from within.
    pub fn proc_self_fd(&self) -> File {
        self.proc_self_fd.try_clone().expect("a descriptor")
    }

    /// The mounts that this thread sees.
    pub fn mountinfo(&self) -> File {
        File::open("/proc/thread-self/mountinfo").expect("/proc is mounted")
    }

    /// The share's path outside of the chroot.
    pub fn share_path(&self) -> &Path {
        self.share.path()
    }
}
