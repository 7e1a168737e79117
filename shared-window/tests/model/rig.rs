// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A window with faulty seams, the model beside it, and the comparison of the two.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shared_window::{
    Access, FileId, FileOffset, ProcessWindow, RangeState, RegionBudget, RemoveRange, SetupRange,
    Window, WindowError, WindowOffset, WindowSize, page_size,
};

use super::action::{Action, Step};
use super::plain::{Expected, FILE_PAGES, FILES, PAGES, Plain, Range};
use super::seams::{FaultyViews, FaultyVmm, Mutant};

/// The budget of the rig: no region, or room for all.
const REGIONS: usize = 1;

pub(crate) struct Rig {
    window: Window<Arc<FaultyVmm>, Arc<FaultyViews>>,
    vmm: Arc<FaultyVmm>,
    views: Arc<FaultyViews>,
    budget: Arc<RegionBudget>,
    files: [File; FILES],
    plain: Plain,
}

/// How a request ended.
#[derive(Debug)]
enum Ended {
    Ok,
    Errno(i32),
    Panicked,
}

impl Rig {
    pub(crate) fn new(mutant: Option<Mutant>) -> Self {
        let size = WindowSize::new(PAGES * page_size()).unwrap();
        let vmm = Arc::new(FaultyVmm::new(ProcessWindow::new(size).unwrap(), mutant));
        let views = Arc::new(FaultyViews::new(mutant));
        let budget = Arc::new(RegionBudget::new(REGIONS));
        let plain = Plain::new();
        let files = plain.bytes.map(|bytes| {
            let file = tempfile::tempfile().unwrap();
            // One page more than is ever asked for: a mutant maps the wrong page.
            file.set_len((FILE_PAGES + 1) * page_size()).unwrap();
            for (page, byte) in bytes.iter().enumerate() {
                file.write_all_at(&[*byte], page as u64 * page_size())
                    .unwrap();
            }
            file
        });
        Self {
            window: Window::new(
                size,
                Arc::clone(&vmm),
                Arc::clone(&views),
                Arc::clone(&budget),
            ),
            vmm,
            views,
            budget,
            files,
            plain,
        }
    }

    /// Makes one step and compares.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        *self.vmm.plan.lock().unwrap() = step.faults.iter().copied().collect();
        self.views.fails.store(step.no_view, Ordering::Relaxed);
        self.budget
            .set_in_use(if step.no_region { REGIONS } else { 0 });
        let expected = self.plain.expect(&step.action, step.no_region);
        let ended = self.act(&step.action);
        self.vmm.plan.lock().unwrap().clear();

        let now = self.ranges()?;
        // A view that is open already is not opened again, so that this may go well all the same.
        let view_failed = step.no_view && matches!(ended, Ended::Errno(libc::EIO));
        match step.faults.is_empty() && !view_failed {
            true => exactly(&expected, &ended, &now)?,
            false => allowed(&self.plain.ranges, &step.action, &expected, &ended, &now)?,
        }
        self.plain.ranges = now;
        self.compare_vmm()?;
        self.compare_bytes()
    }

    fn act(&mut self, action: &Action) -> Ended {
        let page = page_size();
        let outcome = match action {
            Action::Setup {
                at,
                pages,
                file,
                from,
                access,
                skew,
            } => {
                let ask = SetupRange {
                    window: WindowOffset(at * page + skew),
                    file: FileOffset(from * page),
                    len: pages * page,
                    access: *access,
                };
                let file = self.files[*file].as_fd();
                self.request(|window| window.setup(file, ask))
            }
            Action::Remove(removals) => {
                let remove = |(at, pages): &(u64, u64)| RemoveRange {
                    window: WindowOffset(at * page),
                    len: pages * page,
                };
                let removals: Vec<_> = removals.iter().map(remove).collect();
                self.request(|window| window.remove(&removals))
            }
            Action::Clear => self.request(|window| window.clear()),
            Action::Store { page, byte } => {
                self.store(*page, *byte);
                Some(Ok(()))
            }
        };
        match outcome {
            Some(Ok(())) => Ended::Ok,
            Some(Err(error)) => Ended::Errno(error.errno()),
            None => Ended::Panicked,
        }
    }

    /// The outcome of a request, or `None` when an injected panic came out of it.
    fn request(
        &self,
        request: impl FnOnce(&Window<Arc<FaultyVmm>, Arc<FaultyViews>>) -> Result<(), WindowError>,
    ) -> Option<Result<(), WindowError>> {
        catch_unwind(AssertUnwindSafe(|| request(&self.window))).ok()
    }

    /// A guest's store, into the model too if something is mapped there.
    fn store(&mut self, page: u64, byte: u8) {
        if let Some((file, at)) = self.plain.shown(page) {
            let here = WindowOffset(page * page_size());
            self.vmm
                .memory
                .write(here, &[byte])
                .expect("a mapping is writable");
            self.plain.bytes[file][at as usize] = byte;
        }
    }

    /// The window's table, in the model's terms.
    fn ranges(&self) -> Result<Vec<Range>, String> {
        let ids: Vec<_> = self
            .files
            .iter()
            .map(|f| FileId::of(f.as_fd()).unwrap())
            .collect();
        let page = page_size();
        let mut ranges = Vec::new();
        for mapping in self.window.snapshot() {
            let known = match mapping.state {
                RangeState::Live => true,
                RangeState::Indeterminate => false,
                busy => return Err(format!("{} is {busy:?} between requests", mapping.window)),
            };
            ranges.push(Range {
                at: mapping.window.start().0 / page,
                pages: mapping.window.len() / page,
                file: ids
                    .iter()
                    .position(|id| *id == mapping.file)
                    .ok_or("an unknown file")?,
                from: mapping.from.0 / page,
                known,
            });
        }
        let stats = self.window.stats();
        let live = ranges.iter().filter(|range| range.known).count() as u64;
        if (stats.live, stats.indeterminate) != (live, ranges.len() as u64 - live) {
            return Err(format!("{live} ranges are live, the numbers say {stats:?}"));
        }
        Ok(ranges)
    }

    /// What the VMM has is what the table says, but for ranges that are indeterminate.
    fn compare_vmm(&self) -> Result<(), String> {
        let page = page_size();
        let mapped: Vec<_> = self
            .vmm
            .memory
            .mapped()
            .iter()
            .map(|(range, access)| (range.start().0 / page, range.len() / page, *access))
            .collect();
        for range in &self.plain.ranges {
            if range.known && !mapped.contains(&(range.at, range.pages, Access::ReadWrite)) {
                return Err(format!("the VMM lacks {range:?}; it has {mapped:?}"));
            }
        }
        for (at, pages, _) in &mapped {
            let known_to_table = |range: &&Range| (range.at, range.pages) == (*at, *pages);
            if self.plain.ranges.iter().find(known_to_table).is_none() {
                return Err(format!(
                    "the VMM has {pages} pages at {at}, the table has not"
                ));
            }
        }
        Ok(())
    }

    /// The guest sees, and the files hold, the bytes that the model holds.
    fn compare_bytes(&self) -> Result<(), String> {
        for page in 0..PAGES {
            let Some((file, at)) = self.plain.shown(page) else {
                continue;
            };
            let mut seen = [0];
            self.vmm
                .memory
                .read(WindowOffset(page * page_size()), &mut seen)
                .map_err(|error| format!("page {page} can't be read: {error}"))?;
            let expected = self.plain.bytes[file][at as usize];
            if seen != [expected] {
                return Err(format!("page {page} shows {}, not {expected}", seen[0]));
            }
        }
        for (file, bytes) in self.files.iter().zip(self.plain.bytes) {
            for (page, expected) in bytes.into_iter().enumerate() {
                let mut held = [0];
                file.read_exact_at(&mut held, page as u64 * page_size())
                    .unwrap();
                if held != [expected] {
                    return Err(format!(
                        "page {page} of a file holds {}, not {expected}",
                        held[0]
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Nothing failed: the outcome is the model's.
fn exactly(expected: &Expected, ended: &Ended, now: &[Range]) -> Result<(), String> {
    let as_expected = match (expected.errno, ended) {
        (None, Ended::Ok) => true,
        (Some(expected), Ended::Errno(errno)) => expected == *errno,
        _ => false,
    };
    if !as_expected || expected.ranges != now {
        return Err(format!("expected {expected:?}, got {ended:?} and {now:?}"));
    }
    Ok(())
}

/// Something may have failed: success has to be what the model says; after an error each range is
/// as before, as the model says, free, or indeterminate, and nothing else has come up.
fn allowed(
    before: &[Range],
    action: &Action,
    expected: &Expected,
    ended: &Ended,
    now: &[Range],
) -> Result<(), String> {
    if matches!(ended, Ended::Ok) {
        return exactly(expected, ended, now);
    }
    for range in now {
        let known = Range {
            known: true,
            ..*range
        };
        let was = before.contains(range) || expected.ranges.contains(range);
        let became_unknown =
            !range.known && (before.contains(&known) || expected.ranges.contains(&known));
        if !was && !became_unknown {
            return Err(format!("{range:?} came out of nowhere"));
        }
    }
    // Ranges that the request is not about stay as they are.
    for range in before {
        let (named, stays) = (expected.ranges.contains(range), now.contains(range));
        if named && !stays && !is_about(action, range) {
            return Err(format!("{range:?} was not named and is gone"));
        }
    }
    Ok(())
}

fn is_about(action: &Action, range: &Range) -> bool {
    match action {
        Action::Setup { at, pages, .. } => range.touches(*at, at + pages),
        Action::Remove(removals) => removals
            .iter()
            .any(|(at, pages)| range.touches(*at, at + pages)),
        Action::Clear => true,
        Action::Store { .. } => false,
    }
}
