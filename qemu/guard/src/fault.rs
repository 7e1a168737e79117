// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Handles an access to a lost page: zeros replace the page.
//!
//! Everything here may run in a signal handler. MADV_POPULATE_READ and _WRITE (Linux 5.14) check
//! whether a page is available: they fail with EFAULT where an access gets SIGBUS. The check may
//! take as long as the file system takes, so the table isn't locked meanwhile, and is read again
//! afterwards.

use core::ffi::c_int;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;

use crate::lock::Held;
use crate::table::{Lost, Mapping, Run, Table};
use crate::view::ViewFile;
use crate::{TABLE, restore, sys};

/// How far from the accessed page other pages are checked, on either side: the size that a Linux
/// guest maps at once.
const REACH: usize = 2 << 20;

/// How long that check may take. A failing disk can be slow.
const PATIENCE: Duration = Duration::from_millis(5);

/// How often a check may find a page available while accesses to it still fail.
const CONTRADICTIONS: u32 = 100;

/// The largest page of any machine that is not a huge one.
const LARGEST_PAGE: usize = 64 << 10;

/// A buffer for the content of a page that can only be read. Used under the table's lock.
struct Content([u8; LARGEST_PAGE]);

/// The state of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    There,
    Lost,
}

/// Whether the page can be read.
pub(crate) fn readable(page: usize) -> Page {
    populate(page, libc::MADV_POPULATE_READ)
}

/// Whether the page can be stored to.
pub(crate) fn storable(page: usize) -> Page {
    populate(page, libc::MADV_POPULATE_WRITE)
}

fn populate(page: usize, advice: c_int) -> Page {
    let range = page..page + sys::page_size();
    loop {
        match sys::advise(&range, advice) {
            Err(libc::EINTR | libc::EAGAIN) => {}
            Err(libc::EFAULT) => return Page::Lost,
            // One of these errors is that nothing is mapped there any more.
            _ => return Page::There,
        }
    }
}

/// Handles an access to a page that is not available. `false`: the page is not a view's.
pub(crate) fn page_is_lost(address: usize) -> bool {
    let page = sys::page_of(address);
    let mapping = {
        let table = TABLE.lock();
        let Some(mapping) = table.mapping_at(page) else {
            return false;
        };
        if table.run_at(page).is_some() {
            // Another thread has handled it already.
            return true;
        }
        mapping
    };
    let Some((lost, around)) = examine(&mapping, page) else {
        return true;
    };
    let mut table = TABLE.lock();
    if !table.still_maps(&mapping, page) {
        return true;
    }
    // The mapping there now, not the earlier one: parts of that may have been unmapped.
    let replaced = match (table.mapping_at(page), table.free_around(page, around)) {
        (Some(mapping), Some(range)) => put_zeros(&mut table, &mapping, range, lost),
        _ => true,
    };
    drop(table);
    if lost == Lost::Room {
        restore::await_told(page);
    }
    replaced
}

/// The lost pages around `page`; `None` if the page is available again.
fn examine(mapping: &Mapping, page: usize) -> Option<(Lost, Range<usize>)> {
    let own = page..page + sys::page_size();
    if readable(page) == Page::Lost {
        let range = behind_the_end(mapping, page).unwrap_or_else(|| lost_around(mapping, own));
        return Some((Lost::Page, range));
    }
    if mapping.is_writable() && storable(page) == Page::Lost {
        return Some((Lost::Room, own));
    }
    contradicts(page).then_some((Lost::Page, own))
}

/// Whether the same page was found available again and again while accesses to it failed.
fn contradicts(page: usize) -> bool {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    static TIMES: AtomicU32 = AtomicU32::new(0);

    if PAGE.swap(page, Ordering::Relaxed) != page {
        TIMES.store(0, Ordering::Relaxed);
    }
    TIMES.fetch_add(1, Ordering::Relaxed) >= CONTRADICTIONS
}

/// The pages of the mapping behind the file's end, if `page` is one of them.
fn behind_the_end(mapping: &Mapping, page: usize) -> Option<Range<usize>> {
    let file = ViewFile::duplicate(mapping.descriptor, mapping.view)?;
    let is_behind = |page| file.ends_before(mapping.offset_of(page));
    if !is_behind(page) {
        return None;
    }
    let size = sys::page_size();
    let (mut inside, mut behind) = (mapping.start, page);
    if is_behind(mapping.start) {
        return Some(mapping.start..mapping.end);
    }
    while behind - inside > size {
        let middle = sys::page_of(inside + (behind - inside) / 2);
        match is_behind(middle) {
            true => behind = middle,
            false => inside = middle,
        }
    }
    Some(behind..mapping.end)
}

/// The lost pages before and behind those of `range`, checked one by one.
fn lost_around(mapping: &Mapping, mut range: Range<usize>) -> Range<usize> {
    let (size, end) = (sys::page_size(), sys::now() + PATIENCE);
    let limits = mapping.start.max(range.start.saturating_sub(REACH))
        ..mapping.end.min(range.end.saturating_add(REACH));
    let goes_on = |page| readable(page) == Page::Lost && sys::now() < end;
    while range.end < limits.end && goes_on(range.end) {
        range.end += size;
    }
    while range.start > limits.start && goes_on(range.start - size) {
        range.start -= size;
    }
    range
}

/// Maps zeros at `range` of the mapping. `false`: the kernel has no room for one more mapping.
fn put_zeros(
    table: &mut Held<'_, Table>,
    mapping: &Mapping,
    range: Range<usize>,
    lost: Lost,
) -> bool {
    let run = Run {
        start: range.start,
        end: range.end,
        lost,
        // Room is missing only because the guest has stored.
        stored: lost == Lost::Room,
        told: false,
    };
    if table.is_crowded() || !replace(mapping, &run) {
        // One mapping replaces all of them. It also replaces available pages, and the stores to
        // lost ones; so it is reported as a loss of stores.
        let whole = Run {
            start: mapping.start,
            end: mapping.end,
            lost: Lost::Page,
            stored: true,
            told: false,
        };
        if !map_zeros(&(mapping.start..mapping.end), mapping.protection) {
            return false;
        }
        table.lose(whole);
    } else {
        table.lose(run);
    }
    restore::pages_lost(table, range.len() / sys::page_size());
    true
}

fn replace(mapping: &Mapping, run: &Run) -> bool {
    let range = run.start..run.end;
    match run.lost {
        Lost::Page => map_zeros(&range, mapping.protection & !libc::PROT_WRITE),
        Lost::Room => keep_content(&range, mapping.protection),
    }
}

/// Maps zeros where a view's pages are lost.
fn map_zeros(range: &Range<usize>, protection: c_int) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: a mapping of a view lies there, as the locked table says, and its pages around the
    // access are not available.
    unsafe { sys::mmap(range.clone(), protection, flags, -1, 0) }.is_ok()
}

/// Maps a private page with the content that can be read there. A page of zeros is mapped in place:
/// adjacent ones become one mapping of the kernel. Any other page is moved there, so that no other
/// thread ever sees zeros.
fn keep_content(page: &Range<usize>, protection: c_int) -> bool {
    static CONTENT: crate::lock::Lock<Content> = crate::lock::Lock::new(Content([0; LARGEST_PAGE]));

    let mut content = CONTENT.lock();
    let Some(content) = content.0.get_mut(..page.len()) else {
        return map_zeros(page, protection);
    };
    let read = sys::read_memory(page.start, content);
    if read < content.len() || content.iter().all(|byte| *byte == 0) {
        return map_zeros(page, protection);
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory.
    let Ok(copy) = (unsafe { sys::mmap(0..page.len(), protection, flags, -1, 0) }) else {
        return false;
    };
    let target = core::ptr::with_exposed_provenance_mut::<u8>(copy);
    let (length, flags) = (page.len(), libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED);
    // SAFETY: the new page is writable, since only a store to the lost page leads here, and no
    // other thread knows it. It moves to a place where the locked table has a page of a view.
    unsafe {
        core::ptr::copy_nonoverlapping(content.as_ptr(), target, length);
        sys::mremap(copy, length, length, flags, page.start).is_ok()
            || sys::munmap(&(copy..copy + length)).is_err()
    }
}

/// Handles a store to a page of zeros. `false`: no zeros are mapped there.
pub(crate) fn page_is_stored_to(address: usize) -> bool {
    let mut table = TABLE.lock();
    let Some(mapping) = table.mapping_at(address) else {
        return false;
    };
    if !mapping.is_writable() {
        return false;
    }
    let Some(run) = table.run_at(address) else {
        // The file was mapped again between the store and this, so the store can be repeated.
        return !contradicts(sys::page_of(address));
    };
    if run.stored {
        // Another thread has handled it already.
        return true;
    }
    // The whole run, so that scattered stores don't split it into many mappings.
    // SAFETY: this library's zeros are mapped there, as the locked table says.
    if unsafe { sys::protect(&(run.start..run.end), mapping.protection) }.is_err() {
        return false;
    }
    table.lose(Run {
        stored: true,
        told: false,
        ..run
    });
    restore::stored(&table);
    drop(table);
    restore::await_told(address);
    true
}

/// Makes a page accessible that KVM could not access. Returns whether anything was changed.
pub(crate) fn mend_page(address: usize) -> bool {
    let page = sys::page_of(address);
    let run = TABLE.lock().run_at(page);
    match run {
        // A store to the page, or another vCPU's fault has replaced it meanwhile.
        Some(run) => !run.stored && page_is_stored_to(page),
        None => page_is_lost(page) && TABLE.lock().run_at(page).is_some(),
    }
}

/// Replaces all lost pages of all mapped views, or else lets the guest store to all zeros. Returns
/// whether anything was changed. Only if it isn't known which page was accessed, and how.
pub(crate) fn mend_all() -> bool {
    any_page(|page| readable(page) == Page::Lost && mend_page(page))
        || any_page(|page| {
            let run = TABLE.lock().run_at(page);
            run.is_some_and(|run| !run.stored) && page_is_stored_to(page)
        })
}

/// Calls `mend` for each page of each mapped view; whether any call changed something.
fn any_page(mend: impl Fn(usize) -> bool) -> bool {
    let (mut from, mut changed) = (0, false);
    loop {
        // Unlocked before `mend` locks it.
        let next = TABLE.lock().mapping_after(from);
        let Some(mapping) = next else { return changed };
        from = mapping.end;
        for page in (mapping.start..mapping.end).step_by(sys::page_size()) {
            changed |= mend(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ViewId;

    /// Memory of the process at an address where the table has a view, with nothing lost.
    fn restored(protection: c_int) -> usize {
        let size = sys::page_size();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory.
        let start = unsafe { sys::mmap(0..size, protection, flags, -1, 0) }.unwrap();
        assert!(TABLE.lock().insert(Mapping {
            start,
            end: start + size,
            offset: 0,
            descriptor: -1,
            protection,
            view: ViewId::NONE,
            id: 0,
            guest: None,
        }));
        start
    }

    #[test]
    fn a_store_that_finds_the_file_mapped_again_is_repeated() {
        let page = restored(libc::PROT_READ | libc::PROT_WRITE);
        assert!(page_is_stored_to(page + 8));
        // If that doesn't help, the cause is another one.
        let repeated = (0..2 * CONTRADICTIONS).filter(|_| page_is_stored_to(page));
        assert!(repeated.count() < 2 * CONTRADICTIONS as usize);
    }

    #[test]
    fn a_store_elsewhere_or_to_a_view_for_reading_is_none_of_ours() {
        assert!(!page_is_stored_to(restored(libc::PROT_READ)));
        let local = 0_u8;
        assert!(!page_is_stored_to((&raw const local).addr()));
    }
}
