// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window of a VMM at the other end of a vhost-user socket: SHMEM_MAP and SHMEM_UNMAP.
//!
//! # When a mapping is in effect
//! QEMU answers SHMEM_MAP before it has committed the new memory layout; until then the guest would
//! read zeros and lose stores. QEMU takes requests of a back-end channel one after another, so the
//! answer to a *later* request proves the commit. That later request is SHARED_OBJECT_REMOVE of an
//! object that does not exist, which changes nothing and is answered with a failure. So "failure"
//! is the good answer here, and "success" proves that there was no answer: without the protocol
//! feature REPLY_ACK the vhost crate reports success once a request is sent. This is checked before
//! the first mapping, so a window never works without acknowledgements.
//!
//! If a VMM answers only after the effect, no second request is needed. Another module finds that
//! out: [`VhostUserShmem::set_answers_after_effect`].
//!
//! # Removals
//! SHMEM_UNMAP is acknowledged as early, and there is usually no need to wait for more: a later
//! mapping over the range is ordered behind it. Only the count of memory regions depends on the
//! effect. A caller that finds no region left calls [`VhostUserShmem::fence`], which sends the
//! second request.
//!
//! A refused SHMEM_UNMAP counts as "nothing is mapped there": QEMU refuses for no other reason, for
//! example when it has dropped its mappings by itself. If another VMM still has the mapping, it
//! does not let a new one take its place. So only the last answer of a batch would be needed. All
//! of them are requested because each message may be sent only while the VMM has the device
//! running: messages that QEMU 11.1 has not read when it stops the device would crash it.
//!
//! # Locks
//! The thread that serves the VMM's requests installs the channel, and the VMM may be waiting for
//! that very thread. So [`VhostUserShmem::install`] takes a lock that is never held during a
//! request.

mod pause;

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;
use vhost::vhost_user::message::{VhostUserMMap, VhostUserMMapFlags, VhostUserSharedMsg};
use vhost::vhost_user::{Backend, Error as VhostUserError, VhostUserFrontendReqHandler};

use self::pause::Pause;
use super::{Effect, Vmm, VmmError};
use crate::units::{Access, FileOffset, WindowOffset};

pub use self::pause::Moment;

/// The shared memory region of the window: virtio-fs has one, the cache, with id 0.
const CACHE_REGION: u8 = 0;

/// A shared object that does not exist: its UUID has version 8, which is private to an application.
const NO_OBJECT: Uuid = Uuid::from_u128(0x64_61_78_2d_77_69_8e_64_af_77_2d_66_65_6e_63_65);

/// The calls to the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Call {
    /// Map a range.
    Map,
    /// Unmap a range.
    Unmap,
    /// Prove that unmapped ranges are gone.
    Fence,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Map, Self::Unmap, Self::Fence];
}

/// A VMM that maps the window on request over vhost-user's back-end channel. Clones are handles of the
/// same channel.
#[derive(Debug, Clone, Default)]
pub struct VhostUserShmem {
    shared: Arc<Shared>,
    timer: Option<Timer>,
}

#[derive(Debug, Default)]
struct Shared {
    channel: Mutex<Option<Arc<Channel>>>,
    pause: Pause,
}

#[derive(Clone)]
struct Timer(Arc<dyn Fn(Call, Duration) + Send + Sync>);

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

struct Channel {
    backend: Backend,
    /// Whether the VMM takes the request that serves as fence.
    has_fence: bool,
    /// Whether an answer of the VMM has been seen.
    answers: AtomicBool,
    /// Whether the VMM answers after the effect.
    after_effect: AtomicBool,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}

impl VhostUserShmem {
    /// A VMM that has not passed its channel yet: every request fails with [`VmmError::NoChannel`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle of the same channel whose calls are timed: `timer` is called with the time from
    /// each request to its answer, without the time in which the device was stopped.
    #[must_use]
    pub fn timed(self, timer: impl Fn(Call, Duration) + Send + Sync + 'static) -> Self {
        Self {
            timer: Some(Timer(Arc::new(timer))),
            ..self
        }
    }

    /// Records that the VMM began to stop the device: calls wait until [`VhostUserShmem::start`].
    /// Does not block.
    pub fn stop(&self) {
        self.shared.pause.stop();
    }

    /// Records that the VMM started the device at this moment. No effect if the VMM has stopped the
    /// device since.
    pub fn start(&self, at: Moment) {
        self.shared.pause.start(at);
    }

    /// Records that the VMM is gone: calls that wait fail, and so do all later ones.
    pub fn close(&self) {
        self.uninstall();
        self.shared.pause.close();
    }

    /// Drops the channel.
    pub fn uninstall(&self) {
        *self.slot() = None;
    }

    /// Uses `backend` from now on. A request under way stays on the older channel.
    ///
    /// Never waits for the VMM. The negotiated features have to be set in `backend` already, as
    /// vhost-user-backend does.
    pub fn install(&self, backend: Backend) {
        *self.slot() = Some(Arc::new(Channel {
            has_fence: has_fence(&backend),
            backend,
            answers: AtomicBool::new(false),
            after_effect: AtomicBool::new(false),
        }));
    }

    /// Whether the VMM negotiated the request that serves as fence; `None` while there is no
    /// channel. Without that request no mapping will ever be made. Never waits for the VMM.
    pub fn can_confirm(&self) -> Option<bool> {
        self.slot().as_ref().map(|channel| channel.has_fence)
    }

    /// Sets whether this channel's VMM answers after the effect. The default is that it does not.
    /// Never waits for the VMM.
    pub fn set_answers_after_effect(&self, after_effect: bool) {
        if let Some(channel) = &*self.slot() {
            channel.after_effect.store(after_effect, Ordering::Relaxed);
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Channel>>> {
        // The value is only replaced as a whole, so a panic can't leave it half changed.
        let channel = &self.shared.channel;
        channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self) -> Result<Arc<Channel>, VmmError> {
        self.slot().clone().ok_or(VmmError::NoChannel)
    }

    fn time<T>(&self, call: Call, ask: impl FnOnce() -> T) -> T {
        let Some(Timer(timer)) = &self.timer else {
            return ask();
        };
        let begun = Instant::now();
        let answer = ask();
        timer(call, begun.elapsed());
        answer
    }
}

impl Vmm for VhostUserShmem {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        let flags = match access {
            Access::ReadOnly => VhostUserMMapFlags::default(),
            Access::ReadWrite => VhostUserMMapFlags::WRITABLE,
        };
        let request = request(at, len, from, flags);
        self.shared.pause.wait()?;
        self.time(Call::Map, || {
            let channel = self.channel()?;
            channel.prove_answers()?;
            channel.call("map", at, len, |backend| {
                backend.shmem_map(&request, &view.as_raw_fd())
            })?;
            if channel.is_effect() {
                return Ok(());
            }
            // If the fence fails, the request may still have had its effect.
            channel.fence().map_err(|error| match error.effect() {
                Effect::Nothing => channel.broken("map", io::Error::other(error)),
                Effect::Unknown => error,
            })
        })
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        let request = request(at, len, FileOffset(0), VhostUserMMapFlags::default());
        self.shared.pause.wait()?;
        let done = self.time(Call::Unmap, || {
            let channel = self.channel()?;
            channel.prove_answers()?;
            channel.call("unmap", at, len, |backend| backend.shmem_unmap(&request))
        });
        done.map_err(|error| match error {
            VmmError::Refused { .. } => VmmError::NotMapped { at, len },
            other => other,
        })
    }

    /// Sent also while the device is stopped: it is no message about the window.
    fn fence(&self) -> Result<(), VmmError> {
        self.time(Call::Fence, || {
            let channel = self.channel()?;
            if channel.is_effect() {
                return Ok(());
            }
            channel.fence()
        })
    }
}

impl Channel {
    /// Fails unless the VMM acknowledges requests. Costs a round trip the first time only.
    fn prove_answers(&self) -> Result<(), VmmError> {
        if self.answers.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.fence()?;
        self.answers.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether an answer proves the effect.
    fn is_effect(&self) -> bool {
        self.after_effect.load(Ordering::Relaxed)
    }

    /// Returns once the VMM has finished all earlier requests.
    fn fence(&self) -> Result<(), VmmError> {
        let object = VhostUserSharedMsg { uuid: NO_OBJECT };
        match self.backend.shared_object_remove(&object) {
            Ok(_) => Err(VmmError::NotNegotiated {
                feature: "REPLY_ACK",
            }),
            Err(error) => match cause(&error) {
                Some(VhostUserError::FrontendInternalError) => Ok(()),
                None => Err(VmmError::NotNegotiated {
                    feature: "SHARED_OBJECT",
                }),
                Some(_) => Err(self.broken("finish", error)),
            },
        }
    }

    fn call(
        &self,
        what: &'static str,
        at: WindowOffset,
        len: u64,
        request: impl FnOnce(&Backend) -> io::Result<u64>,
    ) -> Result<(), VmmError> {
        let Err(error) = request(&self.backend) else {
            return Ok(());
        };
        Err(match cause(&error) {
            Some(VhostUserError::FrontendInternalError) => VmmError::Refused {
                what,
                at,
                len,
                reason: None,
            },
            None => VmmError::NotNegotiated { feature: "SHMEM" },
            Some(_) => self.broken(what, error),
        })
    }

    /// Closes the channel to further requests after an invalid answer: the next message could be
    /// the answer to an earlier request.
    fn broken(&self, what: &'static str, source: io::Error) -> VmmError {
        self.backend.set_failed(libc::EPIPE);
        VmmError::Channel { what, source }
    }
}

/// Whether SHARED_OBJECT was negotiated, which only the vhost crate knows. This asks it without a
/// message: a lookup with an invalid descriptor, which the kernel does not send.
fn has_fence(backend: &Backend) -> bool {
    const NO_DESCRIPTOR: RawFd = -1;
    let object = VhostUserSharedMsg { uuid: NO_OBJECT };
    match backend.shared_object_lookup(&object, &NO_DESCRIPTOR) {
        Ok(_) => true,
        Err(error) => cause(&error).is_some(),
    }
}

/// The vhost crate's own error, if it got as far as the VMM.
fn cause(error: &io::Error) -> Option<&VhostUserError> {
    error.get_ref()?.downcast_ref()
}

fn request(
    at: WindowOffset,
    len: u64,
    from: FileOffset,
    flags: VhostUserMMapFlags,
) -> VhostUserMMap {
    VhostUserMMap {
        shmid: CACHE_REGION,
        fd_offset: from.0,
        shm_offset: at.0,
        len,
        flags: flags.bits(),
        ..VhostUserMMap::default()
    }
}
