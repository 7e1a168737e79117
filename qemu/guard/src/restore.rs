// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Maps the file again where its pages are available again.
//!
//! A thread does this. It sleeps unless pages are lost. It checks the first and last pages of each
//! run, and some others in turn, in a mapping of its own, so no signal results. Stores of the guest
//! to the zeros are lost with them. So each loss is reported to the view's server. The server
//! informs the daemon, which fails the guest's next fsync. A store waits for the report, with a
//! limit: otherwise an fsync that follows could be faster.

use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;

use crate::fault::{Page, readable, storable};
use crate::lock::Held;
use crate::say::Line;
use crate::table::{Lost, Mapping, Run, Table};
use crate::view::ViewFile;
use crate::{TABLE, sys};

/// How long the thread sleeps between two checks of all runs.
const INTERVAL: Duration = Duration::from_millis(20);

/// At every third check the thread looks at the last page of a run, otherwise at one in the middle.
const LAST_EVERY: usize = 3;

/// The least time between two messages.
const QUIET: Duration = Duration::from_secs(10);

/// How long a store waits until the view's server has its report. On a busy host the server may be
/// scheduled late, and an fsync that overtakes the report succeeds.
const TELLING: Duration = Duration::from_secs(5);

/// The number of runs, a futex that the thread waits on.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// Counts pending reports: a new one wakes the thread early.
static TO_TELL: AtomicU32 = AtomicU32::new(0);

/// Counts the thread's checks that have sent reports.
static TOLD: AtomicU32 = AtomicU32::new(0);

/// Pages that were replaced by zeros, and runs that were stored to, since the start.
static PAGES: AtomicUsize = AtomicUsize::new(0);
static STORED: AtomicUsize = AtomicUsize::new(0);

/// Starts the thread. Without it guests go on, but zeros stay.
pub(crate) fn start() {
    let signals = sys::signal_mask(libc::SIG_SETMASK, sys::ALL_SIGNALS);
    let mut thread = 0;
    // SAFETY: the thread's function takes no argument and exists as long as the process.
    let started = unsafe {
        libc::pthread_create(
            &raw mut thread,
            core::ptr::null(),
            run,
            core::ptr::null_mut(),
        )
    };
    sys::signal_mask(libc::SIG_SETMASK, signals);
    match started {
        // SAFETY: the thread was just made, and no code joins it.
        0 => unsafe {
            libc::pthread_detach(thread);
        },
        _ => sys::say(b"qemu-guard: no thread: what is lost of mapped files stays zeros\n"),
    }
}

/// Records that zeros have replaced that many pages.
pub(crate) fn pages_lost(table: &Held<'_, Table>, pages: usize) {
    PAGES.fetch_add(pages, Ordering::Relaxed);
    count_runs(table);
}

/// Records that the guest has stored to zeros.
pub(crate) fn stored(table: &Held<'_, Table>) {
    STORED.fetch_add(1, Ordering::Relaxed);
    count_runs(table);
}

/// Waits until the view's server knows about the store to `address`.
pub(crate) fn await_told(address: usize) {
    let end = sys::now() + TELLING;
    TO_TELL.fetch_add(1, Ordering::Release);
    sys::futex_wake(&TO_TELL, 1);
    loop {
        let looks = TOLD.load(Ordering::Acquire);
        let is_told = TABLE.lock().run_at(address).is_none_or(|run| run.told);
        let left = end.saturating_sub(sys::now());
        if is_told || left.is_zero() {
            return;
        }
        sys::futex_wait(&TOLD, looks, Some(left));
    }
}

fn count_runs(table: &Table) {
    let count = u32::try_from(table.run_count()).unwrap_or(u32::MAX);
    if RUNS.swap(count, Ordering::Release) == 0 && count > 0 {
        sys::futex_wake(&RUNS, 1);
    }
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    // SAFETY: the name ends with a zero byte.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"dax-guard".as_ptr()) };
    let mut log = Log::default();
    for look in 0_usize.. {
        if RUNS.load(Ordering::Acquire) == 0 {
            log.all_found();
            while RUNS.load(Ordering::Acquire) == 0 {
                sys::futex_wait(&RUNS, 0, None);
            }
        }
        log.some_lost();
        tell_for(INTERVAL);
        look_at_all(look);
    }
    core::ptr::null_mut()
}

/// Reports each loss as it occurs, for this time.
fn tell_for(time: Duration) {
    let end = sys::now() + time;
    loop {
        let to_tell = TO_TELL.load(Ordering::Acquire);
        tell_all();
        let left = end.saturating_sub(sys::now());
        if left.is_zero() {
            return;
        }
        sys::futex_wait(&TO_TELL, to_tell, Some(left));
    }
}

/// Reports each run that was not reported yet.
fn tell_all() {
    let (mut from, mut open) = (0, Open(None));
    loop {
        let next = TABLE.lock().untold_after(from);
        let Some((mapping, run)) = next else { return };
        from = run.end;
        if let Some(file) = open.file(&mapping) {
            tell(&mapping, &run, file);
        }
    }
}

/// Checks each run once.
fn look_at_all(look: usize) {
    let (mut from, mut open) = (0, Open(None));
    loop {
        let next = {
            let table = TABLE.lock();
            // Unmapping removes runs, too.
            count_runs(&table);
            table.run_after(from)
        };
        let Some((mapping, run)) = next else { return };
        from = run.end;
        let Some(file) = open.file(&mapping) else {
            continue;
        };
        match found(&mapping, &run, file, look) {
            Some(range) => restore(&mapping, &run, file, range),
            None => expect_stores(&mapping, &run),
        }
    }
}

/// Lets the next store to the run be reported as well, if one was: the guest's fsync may have
/// failed for the earlier store, and must fail for later ones. Stores within one check are reported
/// together.
fn expect_stores(mapping: &Mapping, run: &Run) {
    let mut table = TABLE.lock();
    let unchanged = table.run_at(run.start) == Some(*run) && table.still_maps(mapping, run.start);
    if !unchanged || !run.stored || !run.told {
        return;
    }
    let range = run.start..run.end;
    // SAFETY: zeros of ours are mapped there, as the locked table says.
    if unsafe { sys::protect(&range, mapping.protection & !libc::PROT_WRITE) }.is_ok() {
        table.lose(Run {
            stored: false,
            ..*run
        });
    }
}

/// The view that was used last: adjacent runs usually belong to one view.
struct Open(Option<(Mapping, ViewFile)>);

impl Open {
    fn file(&mut self, mapping: &Mapping) -> Option<&ViewFile> {
        let is_same =
            |other: &Mapping| (other.view, other.descriptor) == (mapping.view, mapping.descriptor);
        if self.0.as_ref().is_none_or(|(other, _)| !is_same(other)) {
            let file = ViewFile::duplicate(mapping.descriptor, mapping.view);
            self.0 = file.map(|file| (*mapping, file));
        }
        self.0.as_ref().map(|(_, file)| file)
    }
}

/// Reports a run to the view's server. If the server is gone, there is no daemon either.
fn tell(mapping: &Mapping, run: &Run, file: &ViewFile) {
    let pages = (run.end - run.start) / sys::page_size();
    file.tell(mapping.offset_of(run.start), pages as u64, run.stored);
    let mut table = TABLE.lock();
    // The guest may have stored to the run meanwhile, or the run may have grown.
    if table.run_at(run.start) == Some(*run) && table.still_maps(mapping, run.start) {
        table.lose(Run { told: true, ..*run });
    }
    drop(table);
    TOLD.fetch_add(1, Ordering::Release);
    sys::futex_wake(&TOLD, c_int::MAX);
}

/// The part of the run that the file has again.
fn found(mapping: &Mapping, run: &Run, file: &ViewFile, look: usize) -> Option<Range<usize>> {
    let length = run.end - run.start;
    // SAFETY: new memory, which no code reads or writes.
    let probe = unsafe {
        sys::mmap(
            0..length,
            mapping.protection,
            libc::MAP_SHARED,
            file.descriptor(),
            mapping.offset_of(run.start),
        )
    }
    .ok()?;
    // Only one page is wanted, without the kernel's read-ahead.
    let _ = sys::advise(&(probe..probe + length), libc::MADV_RANDOM);
    let is_there = |inside: usize| match run.lost {
        Lost::Page => readable(probe + inside) == Page::There,
        Lost::Room => storable(probe + inside) == Page::There,
    };
    let found = found_in(length, sys::page_size(), look, is_there);
    // SAFETY: it was made above.
    let _ = unsafe { sys::munmap(&(probe..probe + length)) };
    found.map(|inside| run.start + inside.start..run.start + inside.end)
}

/// The part of `length` bytes to map again, as far as a few pages show.
///
/// If the first page is available, this is all of it: pages that are still lost are replaced again
/// at the next access. Otherwise it is the end, if that is available, or the one page that is.
fn found_in(
    length: usize,
    page: usize,
    look: usize,
    is_there: impl Fn(usize) -> bool,
) -> Option<Range<usize>> {
    if is_there(0) {
        return Some(0..length);
    }
    let pages = length / page;
    if look.is_multiple_of(LAST_EVERY) {
        return is_there(length - page).then(|| {
            let (mut lost, mut there) = (0, pages - 1);
            while there - lost > 1 {
                let middle = lost + (there - lost) / 2;
                match is_there(middle * page) {
                    true => there = middle,
                    false => lost = middle,
                }
            }
            there * page..length
        });
    }
    let inside = (look % pages) * page;
    is_there(inside).then(|| inside..inside + page)
}

/// Maps the file's pages at `range` of the run, if the run is unchanged since they were found.
///
/// The table was not locked since. QEMU may have unmapped the range or a part of it, and mapped
/// another file there, which must not be replaced. The guest's stores to the zeros are reported
/// before the zeros go.
fn restore(mapping: &Mapping, run: &Run, file: &ViewFile, range: Range<usize>) {
    let mut table = TABLE.lock();
    let now = table.run_at(range.start);
    let unchanged = now.is_some_and(|now| {
        now.start <= range.start && range.end <= now.end && now.lost == run.lost && now.told
    });
    if !unchanged || !table.still_maps(mapping, range.start) {
        return;
    }
    table.found(&range);
    // Without its last run the mapping becomes one mapping of the kernel again.
    let range = match table.mapping_at(range.start) {
        Some(mapping) if table.is_whole(&mapping) => mapping.start..mapping.end,
        _ => range,
    };
    // SAFETY: the locked table has the view's mapping there.
    let mapped = unsafe {
        sys::mmap(
            range.clone(),
            mapping.protection,
            libc::MAP_SHARED | libc::MAP_FIXED,
            file.descriptor(),
            mapping.offset_of(range.start),
        )
    };
    if mapped.is_err() {
        // Zeros are still mapped; the thread tries again.
        table.lose(Run {
            start: range.start,
            end: range.end,
            ..*run
        });
    }
    count_runs(&table);
}

/// Messages about losses, on QEMU's standard error.
#[derive(Default)]
struct Log {
    last: Option<Duration>,
    said: bool,
    said_stored: bool,
    pages: usize,
    stored: usize,
}

impl Log {
    fn some_lost(&mut self) {
        let now = sys::now();
        let (pages, stored) = (
            PAGES.load(Ordering::Relaxed),
            STORED.load(Ordering::Relaxed),
        );
        // Repeated stores of the guest are no news.
        let news = pages != self.pages || stored != self.stored && !self.said_stored;
        if !news || self.last.is_some_and(|last| now < last + QUIET) {
            return;
        }
        let mut line = Line::default();
        line.text("qemu-guard: the host can't supply ")
            .number(pages - self.pages)
            .text(" pages of mapped files (truncated, disk full, or an error); the guest sees zeros there");
        if stored > self.stored {
            line.text(", and what it stores there is lost");
            self.said_stored = true;
        }
        line.end();
        (self.pages, self.stored, self.last, self.said) = (pages, stored, Some(now), true);
    }

    fn all_found(&mut self) {
        self.said_stored = false;
        if core::mem::take(&mut self.said) {
            sys::say(b"qemu-guard: all pages of mapped files are there again, or unmapped\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::view::ViewId;

    const PAGE: usize = 4096;
    const LENGTH: usize = 8 * PAGE;

    /// Memory of the process at an address where the table has a view with lost pages, and the
    /// thread's state when the file's pages were found.
    struct Place {
        file: ViewFile,
        mapping: Mapping,
        run: Run,
    }

    fn place() -> Place {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; LENGTH], 0).unwrap();
        let file = ViewFile::of_any(file.as_raw_fd());
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: new memory.
        let start = unsafe { sys::mmap(0..LENGTH, protection, flags, -1, 0) }.unwrap();
        let end = start + LENGTH;
        let mut table = TABLE.lock();
        assert!(table.insert(Mapping {
            start,
            end,
            offset: 0,
            descriptor: file.descriptor(),
            protection,
            view: ViewId::NONE,
            id: 0,
            guest: None,
        }));
        table.lose(Run {
            start,
            end,
            lost: Lost::Page,
            stored: false,
            told: true,
        });
        let (mapping, run) = table.run_after(start).unwrap();
        assert_eq!((mapping.start, run.start, run.end), (start, start, end));
        drop(table);
        Place { file, mapping, run }
    }

    impl Place {
        /// The place's first and last bytes if `meanwhile` happens between the check of the file
        /// and the restoring. `meanwhile` also fills the place with 42.
        fn after(&self, meanwhile: impl FnOnce(&mut Table, &Self)) -> [u8; 2] {
            let run = &self.run;
            assert_eq!(
                found(&self.mapping, run, &self.file, 0),
                Some(run.start..run.end),
                "the file has all pages"
            );
            meanwhile(&mut TABLE.lock(), self);
            let first = core::ptr::with_exposed_provenance_mut::<u8>(run.start);
            // SAFETY: the place is this test's own, and nothing is borrowed of it.
            unsafe {
                first.write_bytes(42, LENGTH);
                restore(&self.mapping, run, &self.file, run.start..run.end);
                [first.read_volatile(), first.add(LENGTH - 1).read_volatile()]
            }
        }
    }

    #[test]
    fn what_is_unchanged_is_the_file_s_again() {
        let place = place();
        assert_eq!(place.after(|_, _| ()), [7, 7]);
        assert_eq!(TABLE.lock().run_at(place.run.start), None);
    }

    #[test]
    fn what_was_mapped_meanwhile_is_not_replaced() {
        let unmapped =
            place().after(|table, Place { run, .. }| table.forget(&(run.start..run.end)));
        assert_eq!(unmapped, [42, 42], "memory in place of all of it");

        let cut = place().after(|table, Place { run, .. }| {
            table.forget(&(run.start + PAGE..run.end));
        });
        assert_eq!(cut, [42, 42], "memory in place of a part of it");

        let other = place().after(|table, Place { mapping, run, .. }| {
            assert!(table.insert(*mapping));
            table.lose(*run);
        });
        assert_eq!(other, [42, 42], "another view, of which as much is lost");
    }

    #[test]
    fn what_the_guest_has_stored_meanwhile_is_told_before_it_goes() {
        let place = place();
        let stored = Run {
            stored: true,
            told: false,
            ..place.run
        };
        assert_eq!(place.after(|table, _| table.lose(stored)), [42, 42]);
        let untold = TABLE.lock().untold_after(stored.start).map(|(_, run)| run);
        assert_eq!(untold, Some(stored));
    }

    #[test]
    fn what_is_lost_in_another_way_meanwhile_is_asked_about_again() {
        let full = |table: &mut Table, Place { run, .. }: &Place| {
            table.lose(Run {
                lost: Lost::Room,
                stored: true,
                ..*run
            });
        };
        assert_eq!(place().after(full), [42, 42]);
    }

    /// Checks ten pages, of which those in `there` are available.
    fn look(look: usize, there: Range<usize>) -> Option<Range<usize>> {
        found_in(100, 10, look, |inside| there.contains(&(inside / 10)))
    }

    #[test]
    fn the_first_page_stands_for_all() {
        assert_eq!(look(1, 0..1), Some(0..100));
        assert_eq!(look(0, 0..10), Some(0..100));
    }

    #[test]
    fn an_end_that_is_there_is_found() {
        assert_eq!(look(LAST_EVERY, 7..10), Some(70..100));
        assert_eq!(look(LAST_EVERY, 1..10), Some(10..100));
        assert_eq!(look(LAST_EVERY, 9..10), Some(90..100));
        assert_eq!(look(LAST_EVERY, 3..9), None);
    }

    #[test]
    fn every_page_has_its_turn() {
        for page in 0..10 {
            let times = (0..60).filter(|n| look(*n, page..page + 1).is_some());
            assert!(times.count() > 0, "page {page}");
        }
        assert_eq!(look(14, 4..5), Some(40..50));
    }
}
