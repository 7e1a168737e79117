// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether the window was negotiated, and whether it can be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The front end has asked for the window's size.
const TAKEN: u8 = 1;
/// The front end can be asked to map.
const CHANNEL: u8 = 2;
/// There are no more views: the companion process is gone.
const NO_VIEWS: u8 = 4;
/// A request with a buffer in the window could not be served.
const UNREACHABLE: u8 = 8;
/// Files are mapped as they are, and the VMM is not known to leave them so.
const UNFIT: u8 = 16;

/// Set once the front end has asked for the window's size.
///
/// A window is offered to every front end, but not every one has a use for it: QEMU's `vhost-user-fs`
/// device asks for no shared memory. What comes with a window (files are examined, no migration) is
/// only for those who take it; to all others the daemon is what virtiofsd is.
///
/// A window that was taken stays with the guest, but it may become useless: the back-end channel
/// breaks, the companion ends, its place in the guest is unknown, or it needs views that there are not.
/// From then on no file is promised, and the guest reads through FUSE. To ask costs one load.
#[derive(Debug, Clone, Default)]
pub struct WindowNegotiated(Arc<AtomicU8>);

impl WindowNegotiated {
    /// The front end has asked for the size, so its guest has a window from now on.
    pub fn set(&self) {
        self.0.fetch_or(TAKEN, Ordering::Relaxed);
    }

    /// Whether the guest has a window.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TAKEN != 0
    }

    /// The front end has handed over a channel by which it can be asked to map.
    pub fn gain_channel(&self) {
        self.0.fetch_or(CHANNEL, Ordering::Relaxed);
    }

    /// There is no channel, or nothing can be mapped by it.
    pub fn lose_channel(&self) {
        self.0.fetch_and(!CHANNEL, Ordering::Relaxed);
    }

    /// No file gets a view any more.
    pub fn lose_views(&self) {
        self.0.fetch_or(NO_VIEWS, Ordering::Relaxed);
    }

    /// Whether the front end can be asked to map.
    #[must_use]
    pub fn has_channel(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CHANNEL != 0
    }

    /// Whether this daemon can serve requests whose buffers lie in the window, as far as is known.
    pub fn set_reachable(&self, reachable: bool) {
        match reachable {
            true => self.0.fetch_and(!UNREACHABLE, Ordering::Relaxed),
            false => self.0.fetch_or(UNREACHABLE, Ordering::Relaxed),
        };
    }

    /// Whether the VMM may be handed what there is to map: views, or files that it leaves as they
    /// are. It may until a call says that it may not.
    pub fn set_fit(&self, fit: bool) {
        match fit {
            true => self.0.fetch_and(!UNFIT, Ordering::Relaxed),
            false => self.0.fetch_or(UNFIT, Ordering::Relaxed),
        };
    }

    /// Whether a file may be mapped, as [`Self::set_reachable`] and [`Self::set_fit`] said last.
    #[must_use]
    pub fn may_map(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (UNREACHABLE | UNFIT) == 0
    }

    /// Whether the guest has a window and files can be mapped there.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TAKEN | CHANNEL
    }
}

#[cfg(test)]
mod tests {
    use super::WindowNegotiated;

    #[test]
    fn a_window_is_usable_while_nothing_it_needs_is_missing() {
        let window = WindowNegotiated::default();
        assert!(!window.is_set() && !window.is_usable());
        window.set();
        assert!(window.is_set() && !window.is_usable(), "no channel yet");
        window.gain_channel();
        assert!(window.is_usable());
        window.lose_channel();
        assert!(window.is_set() && !window.is_usable());
        window.gain_channel();
        assert!(window.is_usable());
        window.set_reachable(false);
        assert!(!window.is_usable() && !window.may_map());
        window.set_fit(false);
        window.set_reachable(true);
        assert!(!window.is_usable() && !window.may_map());
        window.set_fit(true);
        assert!(window.is_usable() && window.may_map());
        window.lose_views();
        assert!(window.is_set() && !window.is_usable());
    }
}
