// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Decides which files are promised to be mappable.
//!
//! Linux asks for the attributes first and takes `FUSE_ATTR_DAX` as a promise: once an inode uses
//! DAX, a SETUPMAPPING that fails is an I/O error for the application. So the daemon finds out
//! beforehand whether it could map the file, once for each node, at the lowest cost:
//!
//! * the file type and the size come with the attributes;
//! * an `O_PATH` open shows the device, the mount, the immutable flag, and whether this process may
//!   write the file. It disturbs nothing on the host: no event, no lease, no copy;
//! * for the first file of each mounted device a view for reading is opened and mapped. The result
//!   holds for all files of that device.
//!
//! A failure that says nothing about the files (no descriptor left, no memory) is not remembered:
//! the daemon tries again later. It does the same for a device if the VMM has refused to map one of
//! its files ([`super::doubt`]).
//!
//! No file is opened for writing to decide this. Whether a device's files can be mapped for writing
//! too is tried when the first of them is mapped ([`DaxEligibility::prove_writing`]). A failure
//! there costs the guest that one access.
//!
//! The state of a file may change between the guest's LOOKUP and its OPEN: a process on the host
//! may make it immutable, mount it read-only, or execute it. So OPEN checks again
//! ([`DaxEligibility::still_holds`]) for files without a view, and reports a *broken* promise to
//! the guest. Programs that open one file again and again don't pay for this check each time: an
//! OPEN relies on the check of another OPEN within the last [`SURE`]. An OPEN never relies on the
//! check of a LOOKUP, however recent.

mod proof;

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use shared_window::{Access, ViewSource};
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::Attr;

use self::proof::Device;
use super::device::{ANY_MAY_EXECUTE, Mappable, MountedDevice, Place, place};
use super::moment::Moment;
use super::open::with_handle;
use super::{NodeCache, NodeId, is_trouble, with_file};
use crate::config::DaxPolicy;
use crate::metrics::{Behaviour, Trait};

/// How many nodes' answers are cached. An evicted answer is determined again.
const REMEMBERED_NODES: NonZeroUsize = NonZeroUsize::new(65536).unwrap();

/// How many running programs are remembered, and for how long. After that time a mapping may be
/// tried again.
const REMEMBERED_PROGRAMS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
const RUNNING: Duration = Duration::from_secs(60);

/// How long an OPEN relies on the check of another OPEN. If a file is frozen meanwhile, its first
/// mapping fails and revokes the promise. The guest loses one access, as if it had opened the file
/// before the freeze.
const SURE: Duration = Duration::from_millis(100);

/// What mappings of a file can allow the guest, if it can be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Valid as long as the guest holds the node.
    Always(Option<Access>),
    /// Not now; try again later.
    NotNow,
}

/// The cached answer for a node.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The access that mappings can allow the guest, if the file can be mapped.
    allows: Option<Access>,
    /// Until this time no OPEN checks again.
    sure_until: Moment,
}

/// The answers so far, by node and by device.
pub struct DaxEligibility<S> {
    policy: DaxPolicy,
    /// What mappings allow the guest.
    access: Access,
    vmm: Arc<Behaviour>,
    views: S,
    nodes: NodeCache<Known>,
    /// Nodes whose promise was revoked, and whether the guest has been told since. Kept for as long
    /// as the guest may know the node.
    broken: NodeCache<bool>,
    /// Whether `broken` has an entry, so that most requests need not search it.
    any_broken: AtomicBool,
    /// Programs that were found running. The guest may know such a file by another node after its
    /// next LOOKUP, and would get ESTALE again; but Linux repeats a LOOKUP only once.
    running: Mutex<LruCache<(MountedDevice, u64), Instant>>,
    devices: Mutex<HashMap<MountedDevice, Device>>,
}

impl<S: ViewSource> DaxEligibility<S> {
    /// Answers by `policy`, with views from `views`.
    #[must_use]
    pub fn new(policy: DaxPolicy, views: S) -> Self {
        Self {
            policy,
            access: Access::ReadWrite,
            vmm: Arc::default(),
            views,
            nodes: NodeCache::new(REMEMBERED_NODES),
            broken: NodeCache::new(REMEMBERED_NODES),
            any_broken: AtomicBool::new(false),
            running: Mutex::new(LruCache::new(REMEMBERED_PROGRAMS)),
            devices: Mutex::new(HashMap::new()),
        }
    }

    /// Limits mappings to this access. A file that is only mapped for reading need not be writable,
    /// and may be executing on the host.
    #[must_use]
    pub fn allowing(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Sets the VMM's behaviour. If the VMM enforces that read-only mappings are not written, files
    /// that may only be read are promised, too.
    #[must_use]
    pub fn of(self, vmm: Arc<Behaviour>) -> Self {
        Self { vmm, ..self }
    }

    fn maps_for_reading(&self) -> bool {
        self.vmm.get(Trait::EnforcesReadOnly) == Some(true)
    }

    /// Whether the guest may use the window for `node`, whose attributes are `attr`.
    pub fn cover<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        attr: &Attr,
    ) -> bool {
        let regular = attr.mode & libc::S_IFMT == libc::S_IFREG;
        let executable = attr.mode & ANY_MAY_EXECUTE != 0;
        if !regular || !self.policy.names(attr.size, executable) {
            return false;
        }
        if self.is_broken(node) {
            return false;
        }
        if let Some(known) = self.nodes.get(node) {
            return known.allows.is_some();
        }
        let answer = self.examine(fs, context, node).unwrap_or_else(|error| {
            log::debug!("node {} is not offered for DAX: {error}", node.0);
            if is_trouble(&error) {
                Answer::NotNow
            } else {
                Answer::Always(None)
            }
        });
        let Answer::Always(allows) = answer else {
            return false;
        };
        let known = Known {
            allows,
            sure_until: Moment::default(),
        };
        self.nodes.put(node, known);
        allows.is_some()
    }

    /// Revokes the promise for `node`, whose file turned out not to be mappable.
    pub fn revoke(&self, node: NodeId) {
        self.nodes.forget(node);
        self.broken.put(node, false);
        self.any_broken.store(true, Ordering::Release);
    }

    fn is_broken(&self, node: NodeId) -> bool {
        self.any_broken.load(Ordering::Acquire) && self.broken.holds(node)
    }

    /// Whether the promise for `node` was revoked and the guest has not been told. Records that it
    /// is told now.
    pub fn tell_of_broken(&self, node: NodeId) -> bool {
        if !self.any_broken.load(Ordering::Acquire) || self.broken.get(node) != Some(false) {
            return false;
        }
        self.broken.put(node, true);
        true
    }

    /// The generation of `node` in a reply to LOOKUP. If the generation changes, Linux allocates a
    /// new inode, which does not use DAX then. An existing inode never changes between DAX and
    /// FUSE.
    pub fn generation(&self, node: NodeId) -> u64 {
        let broken = self.is_broken(node);
        if broken {
            self.broken.put(node, true);
        }
        u64::from(broken)
    }

    /// Whether an OPEN of `node` can skip the check: the node was not promised, another OPEN has
    /// just checked it, or the guest only reads and the check is about writing.
    pub fn is_sure_of(&self, node: NodeId) -> bool {
        self.access == Access::ReadOnly || self.is_sure_at(node, Moment::now())
    }

    fn is_sure_at(&self, node: NodeId, now: Moment) -> bool {
        match self.nodes.get(node) {
            Some(known) => known.allows != Some(Access::ReadWrite) || now < known.sure_until,
            None => true,
        }
    }

    /// Whether `node` was promised for reading only, while other files can be written. If the guest
    /// opens it for writing all the same, it must not store through the mapping.
    pub fn is_only_to_read(&self, node: NodeId) -> bool {
        let allows = self.nodes.get(node).and_then(|known| known.allows);
        self.access == Access::ReadWrite && allows == Some(Access::ReadOnly)
    }

    /// Whether `node` may be mapped for reading if it can't be opened for writing. A node that was
    /// promised for writing may not: the guest may have the file open for writing.
    pub fn may_map_for_reading(&self, node: NodeId) -> bool {
        let allows = self.nodes.get(node).and_then(|known| known.allows);
        self.maps_for_reading() && allows != Some(Access::ReadWrite)
    }

    /// Whether `node` can still be mapped. It was promised, and `handle` was opened for reading.
    pub fn still_holds<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        handle: u64,
    ) -> bool {
        let Ok(place) = with_handle(fs, context, node, handle, place) else {
            return true;
        };
        if place.executable && runs_on_the_host(fs, context, node) {
            let program = (place.device, place.inode);
            self.running.lock().push(program, Instant::now());
            return false;
        }
        let writable = place.access == Some(Access::ReadWrite);
        if writable {
            let sure_until = Moment::now() + SURE;
            self.nodes
                .change(node, |known| known.sure_until = sure_until);
        }
        writable
    }

    /// Drops the answer for `node`, which the guest no longer holds.
    pub fn forget(&self, node: NodeId) {
        self.nodes.forget(node);
    }

    /// Drops all answers. The guest may still hold nodes.
    pub fn forget_all(&self) {
        self.nodes.clear();
    }

    /// Drops all answers and revocations, when the guest no longer holds any node.
    pub fn begin_anew(&self) {
        self.forget_all();
        self.broken.clear();
        self.any_broken.store(false, Ordering::Release);
    }

    fn examine<F: FileSystem>(&self, fs: &F, context: Context, node: NodeId) -> io::Result<Answer> {
        let Place {
            device,
            inode,
            access,
            executable,
        } = with_file(fs, context, node, libc::O_PATH, place)?;
        let allows = match access {
            Some(access) if access >= self.access => self.access,
            Some(Access::ReadOnly) if self.maps_for_reading() => Access::ReadOnly,
            _ => return Ok(Answer::Always(None)),
        };
        let executable = executable && allows == Access::ReadWrite;
        let ran = || self.running.lock().get(&(device, inode)).copied();
        if executable && ran().is_some_and(|seen| seen.elapsed() < RUNNING) {
            return Ok(Answer::NotNow);
        }
        let known = self.known(device);
        match known.proven {
            Some(Mappable::No) => Ok(Answer::Always(None)),
            _ if known.doubt.is_some_and(|doubt| doubt.lasts()) => Ok(Answer::NotNow),
            Some(_) => Ok(Answer::Always(Some(allows))),
            None => self.try_device(fs, context, node, device, allows),
        }
    }
}

/// Whether a program can't be written because it is executing. This opens the file for writing,
/// which is no extra disturbance: the file is about to be mapped, and is opened for writing for
/// that.
fn runs_on_the_host<F: FileSystem>(fs: &F, context: Context, node: NodeId) -> bool {
    let flags = libc::O_RDWR | libc::O_NONBLOCK;
    let opened = with_file(fs, context, node, flags, |_| Ok(()));
    opened.is_err_and(|error| error.raw_os_error() == Some(libc::ETXTBSY))
}

#[cfg(test)]
mod tests;
