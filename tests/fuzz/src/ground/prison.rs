// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A thread whose root is the share while an input is played.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::panic;
use std::sync::Once;

use rustix::fs::{Mode, OFlags};

/// The thread's directories before.
struct Home {
    root: OwnedFd,
    directory: OwnedFd,
}

thread_local! {
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
    static INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A guard; its drop restores the thread's root.
pub struct Prison(PhantomData<*const ()>);

impl Prison {
    /// Makes `dir` this thread's root. Its working directory stays.
    pub(super) fn enter(dir: &OwnedFd) -> Self {
        HOME.with_borrow_mut(|home| {
            let home = home.get_or_insert_with(Home::of_this_thread);
            rustix::process::fchdir(dir).expect("the share is a directory");
            rustix::process::chroot(".").expect("a root of its own, for which it takes root");
            rustix::process::fchdir(&home.directory).expect("the directory is still there");
        });
        INSIDE.set(true);
        Self(PhantomData)
    }
}

impl Drop for Prison {
    fn drop(&mut self) {
        leave();
    }
}

impl Home {
    fn of_this_thread() -> Self {
        let open = |path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).expect("a directory")
        };
        Self {
            root: open("/"),
            directory: open("."),
        }
    }
}

fn leave() {
    if INSIDE.replace(false) {
        HOME.with_borrow(|home| {
            let home = home
                .as_ref()
                .expect("whoever is inside came from somewhere");
            rustix::process::fchdir(&home.root).expect("the root is still there");
            rustix::process::chroot(".").expect("the way out");
            rustix::process::fchdir(&home.directory).expect("the directory is still there");
        });
    }
}

/// Makes a panic's report run outside of the chroot, because libFuzzer writes its artifact then.
/// Panics that the daemon's library catches don't reach this hook, since the library installs its
/// own later.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            report(info);
        }));
    });
}
