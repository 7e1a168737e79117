// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Answers SHMEM_MAP and SHMEM_UNMAP.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use vhost::vhost_user::message::{VhostUserMMap, VhostUserMMapFlags, VhostUserSharedMsg};
use vhost::vhost_user::{HandlerResult, VhostUserFrontendReqHandler};

use super::commit::{Announce, Effect, Pending};
use super::gate::{Gate, Held};
use super::reservation::Prepared;
use super::rules::{Acknowledge, BeyondLimit, EmptyFile, Overlap, ReadOnly, SizeCheck, Unmap};
use super::table::Mapping;
use super::{Rules, Violation, Window};
use crate::units::{FileOffset, WindowOffset};

/// The errno of a refusal. QEMU has no other.
const REFUSED: i32 = libc::EFAULT;

/// The VMM, as the back-end channel sees it.
pub(crate) struct Vmm {
    window: Window,
    rules: Mutex<Rules>,
    announce: Arc<dyn Announce>,
    held: Held,
    next: Mutex<Next>,
}

#[derive(Default)]
struct Next {
    /// The script's answer to the next request: a payload or an errno.
    answer: Option<Result<u64, i32>>,
    /// The script's gate for the effect of the next request.
    gate: Option<Gate>,
    pending: Option<Pending>,
}

impl Vmm {
    pub(crate) fn new(window: Window, rules: Rules, announce: Arc<dyn Announce>) -> Self {
        Self {
            window,
            rules: Mutex::new(rules),
            announce,
            held: Held::default(),
            next: Mutex::default(),
        }
    }

    fn rules(&self) -> Rules {
        *self.rules.lock()
    }

    /// Applies other rules from now on.
    pub(crate) fn change_rules(&self, rules: Rules) {
        *self.rules.lock() = rules;
    }

    /// The gate that this VMM waits at.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Answers the next request with this payload or errno, without an effect.
    pub(crate) fn answer_next(&self, answer: Result<u64, i32>) {
        self.next.lock().answer = Some(answer);
    }

    /// Delays the effect of the next request until the gate is opened.
    pub(crate) fn hold_next(&self, gate: Gate) {
        self.next.lock().gate = Some(gate);
    }

    /// Carries out the acknowledged effect.
    pub(crate) fn commit(&self) {
        let Next { pending, .. } = std::mem::take(&mut *self.next.lock());
        if let Some(pending) = pending {
            self.take_effect(pending);
        }
    }

    fn take_effect(&self, Pending { effect, gate }: Pending) {
        if let Some(gate) = gate {
            self.held.wait_at(&gate);
        }
        self.held.wait_for(self.rules().effect_takes);
        self.window
            .take_effect(effect, self.rules().told, &*self.announce);
    }

    fn accept(&self, effect: Effect) -> u64 {
        self.window.expect_effect();
        let mut next = self.next.lock();
        let gate = next.gate.take();
        let pending = Pending { effect, gate };
        match self.rules().acknowledge {
            Acknowledge::BeforeEffect => next.pending = Some(pending),
            Acknowledge::AfterEffect => {
                drop(next);
                self.take_effect(pending);
            }
        }
        0
    }

    /// The script's answer, which goes before the rules.
    fn scripted(&self) -> Option<HandlerResult<u64>> {
        let answer = self.next.lock().answer.take()?;
        if answer != Ok(0) {
            self.window.0.state.lock().stats.refused += 1;
        }
        Some(answer.map_err(io::Error::from_raw_os_error))
    }

    fn refuse(&self, violation: Violation) -> io::Error {
        self.window.note(violation);
        self.window.0.state.lock().stats.refused += 1;
        io::Error::from_raw_os_error(REFUSED)
    }

    /// Checks the conditions that apply to each request about the window.
    fn check_common(&self, request: &VhostUserMMap) -> HandlerResult<()> {
        if !self.announce.is_started() {
            self.window.note(Violation::WhileStopped);
        }
        let (at, len) = (request.shm_offset, request.len);
        let end = at.checked_add(len).filter(|end| *end <= self.window.size());
        if request.shmid != 0 || end.is_none() {
            let at = WindowOffset(at);
            return Err(self.refuse(Violation::Outside { at, len }));
        }
        Ok(())
    }

    fn check_overlap(&self, request: &VhostUserMMap) -> HandlerResult<()> {
        let (at, len) = (request.shm_offset, request.len);
        let overlaps = self.window.0.state.lock().table.within(at, len).count() > 0;
        if overlaps && self.rules().overlap == Overlap::Refuse {
            let at = WindowOffset(at);
            return Err(self.refuse(Violation::Overlap { at, len }));
        }
        Ok(())
    }

    fn check_regions(&self) -> HandlerResult<()> {
        let regions = self.announce.memory_regions() + self.window.mapped() + 1;
        if regions <= self.rules().regions || !self.announce.is_limited() {
            return Ok(());
        }
        if self.rules().beyond_limit == BeyondLimit::Abort {
            self.announce.abort();
        }
        Err(self.refuse(Violation::TooManyRegions { regions }))
    }

    fn check_size(&self, request: &VhostUserMMap, file: &File) -> HandlerResult<()> {
        let Rules {
            size_check,
            empty_file,
            ..
        } = self.rules();
        if (size_check, empty_file) == (SizeCheck::Ignore, EmptyFile::Leave) {
            return Ok(());
        }
        let size = rustix::fs::seek(file, rustix::fs::SeekFrom::End(0))?;
        let needed = request.fd_offset + request.len;
        if size == 0 && empty_file == EmptyFile::Grow {
            file.set_len(needed)?;
        } else if size < needed && size_check == SizeCheck::Refuse {
            return Err(self.refuse(Violation::TooSmall { size, needed }));
        }
        Ok(())
    }

    /// If the answer comes after the effect, and the range is a hole, maps the file in its place.
    /// Else maps the file elsewhere; the mapping is moved when the effect is due.
    fn prepare(
        &self,
        request: &VhostUserMMap,
        file: &File,
    ) -> HandlerResult<(Option<Prepared>, bool)> {
        let rules = self.rules();
        let wanted = request.flags & VhostUserMMapFlags::WRITABLE.bits() != 0;
        let writable = wanted || rules.read_only == ReadOnly::MapWritable;
        let (from, len) = (request.fd_offset, request.len);
        let in_place = rules.acknowledge == Acknowledge::AfterEffect
            && rules.effect_takes.is_zero()
            && rules.overlap == Overlap::Refuse
            && self.next.lock().gate.is_none();
        let prepared = if in_place {
            let range = &self.window.0.range;
            let mapped = range.map(file, (from, len), writable, request.shm_offset);
            mapped.map(|()| None)
        } else {
            Prepared::new(file, from, len, writable).map(Some)
        };
        let prepared = prepared.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(REFUSED);
            self.refuse(Violation::NotMappable(errno))
        })?;
        Ok((prepared, wanted))
    }
}

impl VhostUserFrontendReqHandler for Vmm {
    fn shmem_map(&self, request: &VhostUserMMap, file: &dyn AsRawFd) -> HandlerResult<u64> {
        if let Some(answer) = self.scripted() {
            return answer;
        }
        self.check_common(request)?;
        self.check_overlap(request)?;
        self.check_regions()?;
        // SAFETY: the channel keeps the file open during the call. The descriptor is duplicated at
        // once.
        let file = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
        let file = File::from(file.try_clone_to_owned()?);
        self.check_size(request, &file)?;
        let (prepared, writable) = self.prepare(request, &file)?;
        let mapping = Mapping {
            at: WindowOffset(request.shm_offset),
            len: request.len,
            from: FileOffset(request.fd_offset),
            writable,
            file: Arc::new(file),
        };
        Ok(self.accept(Effect::Map(prepared, mapping)))
    }

    fn shmem_unmap(&self, request: &VhostUserMMap) -> HandlerResult<u64> {
        if let Some(answer) = self.scripted() {
            return answer;
        }
        self.check_common(request)?;
        let (at, len) = (request.shm_offset, request.len);
        let exact = self.window.0.state.lock().table.is_exact(at, len);
        if !exact && self.rules().unmap == Unmap::Exact {
            let at = WindowOffset(at);
            return Err(self.refuse(Violation::Unmatched { at, len }));
        }
        Ok(self.accept(Effect::Unmap { at, len }))
    }

    /// QEMU has no shared objects for this device, and answers 1.
    fn shared_object_remove(&self, _object: &VhostUserSharedMsg) -> HandlerResult<u64> {
        self.window.0.state.lock().stats.fences += 1;
        self.scripted().unwrap_or(Ok(1))
    }
}
