// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Events of a mapped view, and what the program then sees.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::Place;
use crate::kvm;
use crate::mapped::{
    PAGE, RANGE, check, kernel_mappings, memory, memory_at, open, plain, view, view_at,
};

/// A play.
pub(crate) struct Play {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) run: fn(&Path) -> io::Result<()>,
}

macro_rules! plays {
    ($($place:ident: $run:path,)+) => {
        &[$(Play {
            name: stringify!($run),
            place: Place::$place,
            run: $run,
        }),+]
    };
}

pub(crate) const ALL: &[Play] = plays![
    Disk: a_truncated_page,
    Disk: pages_that_come_back,
    Disk: blocked_signals,
    Disk: other_addresses,
    Disk: a_handler_of_before,
    Disk: unmapped_and_mapped_anew,
    Disk: a_window_of_16_gib,
    Disk: one_mapping_of_16_gib,
    SmallMemory: a_hole_on_a_full_tmpfs,
    SmallMemory: many_lost_pages_apart,
    SmallDisk: a_store_on_a_full_disk,
    SmallBtrfs: a_store_on_a_full_btrfs,
    Quota: a_store_beyond_a_quota,
    SmallDisk: an_error_of_the_disk,
    Disk: kvm::a_fault_with_an_address,
    Disk: kvm::a_fault_without_an_address,
    Disk: kvm::a_fault_elsewhere,
];

/// Accesses a lost page, and ends at once.
pub(crate) const STORE: Play = Play {
    name: "a_store",
    place: Place::Disk,
    run: |_| {
        view(0, RANGE)?.store(5 * PAGE, 1);
        // SAFETY: ends the process without anything that could take time.
        unsafe { libc::_exit(0) }
    },
};
/// Stores once more when the first store was reported and the page is read-only again.
pub(crate) const STORE_TWICE: Play = Play {
    name: "two_stores",
    place: Place::Disk,
    run: |_| {
        let mapped = view(0, RANGE)?;
        mapped.store(5 * PAGE, 1);
        mapped.await_protected()?;
        check(mapped.load(5 * PAGE) == 1, "what was stored is still seen")?;
        mapped.store(6 * PAGE, 1);
        // SAFETY: ends the process without anything that could take time.
        unsafe { libc::_exit(0) }
    },
};
pub(crate) const LOAD: Play = Play {
    name: "a_load",
    place: Place::Disk,
    run: |_| {
        view(0, RANGE)?.load(5 * PAGE);
        Ok(())
    },
};

/// The window's largest size.
const WINDOW: usize = 16 << 30;

/// The mappings that the kernel allows a process by default.
const MAX_MAP_COUNT: usize = 65_530;

fn a_truncated_page(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.write_all_at(&vec![7; 2 * RANGE], 0)?;
    let mapped = view(0, 2 * RANGE)?;
    check(mapped.load(RANGE) == 7, "the view shows the file")?;
    file.set_len((RANGE + PAGE) as u64)?;
    for page in (0..2 * RANGE).step_by(PAGE).rev() {
        let expected = if page <= RANGE { 7 } else { 0 };
        let found = mapped.load(page);
        check(found == expected, format_args!("page {page}: {found}"))?;
    }
    mapped.store(RANGE + 2 * PAGE, 9);
    check(mapped.load(RANGE + 2 * PAGE) == 9, "a store is seen")?;
    mapped.store(RANGE, 8);
    let mut byte = [0];
    file.read_exact_at(&mut byte, RANGE as u64)?;
    check(byte == [8], "the rest is the file's still")?;
    let length = file.metadata()?.len();
    check(
        length == (RANGE + PAGE) as u64,
        "the file is as it was left",
    )
}

fn pages_that_come_back(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    let mapped = view(0, RANGE)?;
    let mut slowest = std::time::Duration::ZERO;
    for round in 1..=20_u8 {
        file.set_len(0)?;
        check(mapped.load(5 * PAGE) == 0, "the page is lost")?;
        if round.is_multiple_of(2) {
            mapped.store(5 * PAGE, 255);
        }
        file.write_all_at(&vec![round; RANGE], 0)?;
        slowest = slowest.max(mapped.await_byte(5 * PAGE, round)?);
        mapped.await_byte(RANGE - 1, round)?;
    }
    println!("the file's pages were seen again within {slowest:?}");
    // It is one mapping again, and stores reach the file.
    mapped.store(0, 99);
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0)?;
    check(byte == [99], "a store reaches the file")
}

fn blocked_signals(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.write_all_at(&vec![7; RANGE], 0)?;
    let mapped = view(0, RANGE)?;
    file.set_len(0)?;
    let blocked = move || {
        let mut all = std::mem::MaybeUninit::uninit();
        // SAFETY: the set is filled, then read.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
        }
        mapped.store(PAGE, 1);
        mapped.load(0)
    };
    let read = std::thread::spawn(blocked).join();
    check(read.is_ok_and(|byte| byte == 0), "zeros are read")
}

/// The number of calls of the program's own handler.
static CALLS: AtomicUsize = AtomicUsize::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn own_handler(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the kernel passes the signal's information.
    let address = unsafe { (*info).si_addr() };
    ADDRESS.store(address.addr(), Ordering::Relaxed);
    // SAFETY: the page is one of a mapping of this test's.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let start = address.map_addr(|address| address & !(PAGE - 1));
        libc::mmap64(start, PAGE, libc::PROT_READ, flags, -1, 0);
    }
}

fn install_own() {
    // SAFETY: the handler is one, and makes one system call.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = own_handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// A lost page of a file that is no view.
fn touch_other() -> io::Result<()> {
    let other = tempfile::tempfile()?;
    other.set_len(RANGE as u64)?;
    let mapped = plain(other.as_raw_fd(), RANGE)?;
    other.set_len(0)?;
    let before = CALLS.load(Ordering::Relaxed);
    check(mapped.load(PAGE) == 0, "the own handler has mapped zeros")?;
    let calls = CALLS.load(Ordering::Relaxed) - before;
    check(calls == 1, format_args!("{calls} calls of the own handler"))?;
    let told = ADDRESS.load(Ordering::Relaxed);
    check(told == mapped.address() + PAGE, "it was given the address")
}

/// The program's handler, installed while views are mapped, gets all signals that are not about
/// views.
fn other_addresses(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    let mapped = view(0, RANGE)?;
    install_own();
    touch_other()?;
    check(mapped.load(0) == 0, "a page of the view")?;
    check(
        CALLS.load(Ordering::Relaxed) == 1,
        "that is not the program's",
    )?;
    // SAFETY: the signals' default actions; then a child that is to die, and does nothing else.
    unsafe {
        let before = libc::signal(libc::SIGBUS, libc::SIG_DFL);
        check(
            before == own_handler as *const () as usize,
            "the program gets its own handler back",
        )?;
        for (signal, sent) in [
            (libc::SIGBUS, false),
            (libc::SIGBUS, true),
            (libc::SIGSEGV, false),
        ] {
            let other = tempfile::tempfile()?;
            let lost = plain(other.as_raw_fd(), RANGE)?;
            let child = libc::fork();
            if child == 0 {
                match (signal, sent) {
                    (_, true) => drop(libc::raise(signal)),
                    (libc::SIGBUS, _) => drop(lost.load(0)),
                    _ => drop(std::ptr::without_provenance::<u8>(8).read_volatile()),
                }
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(child, &raw mut status, 0);
            check(
                libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == signal,
                format_args!("signal {signal}, sent {sent}: status {status:#x}"),
            )?;
        }
    }
    drop(file);
    Ok(())
}

/// A handler that was installed before the first view was mapped.
fn a_handler_of_before(path: &Path) -> io::Result<()> {
    install_own();
    let file = open(path)?;
    let mapped = view(0, RANGE)?;
    check(mapped.load(0) == 0, "a page of the view")?;
    check(
        CALLS.load(Ordering::Relaxed) == 0,
        "that is not the program's",
    )?;
    drop(file);
    touch_other()
}

/// No page is restored where another mapping is by then.
fn unmapped_and_mapped_anew(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    let all = memory(5 * RANGE)?;
    let part = |n: usize| all.part(n * RANGE, RANGE);
    for n in 0..5 {
        view_at(&part(n), n * RANGE)?;
        check(part(n).load(PAGE) == 0, "the page is lost")?;
        part(n).store(PAGE, 3);
    }
    part(0).unmap()?;
    memory_at(&part(1))?.store(PAGE, 42);
    // Another place of the file.
    view_at(&part(2), 8 * RANGE)?;
    part(3).part(0, RANGE / 2).unmap()?;
    for n in 0..9 {
        file.write_all_at(&vec![n as u8 + 100; RANGE], (n * RANGE) as u64)?;
    }
    // The thread goes through in the order of addresses, so it has passed the others then.
    part(4).await_byte(PAGE, 104)?;
    check(part(1).load(PAGE) == 42, "memory of the program's")?;
    part(2).await_byte(PAGE, 108)?;
    part(3).await_byte(RANGE - 1, 103)?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for gone in [part(0).address(), part(3).address()] {
        let start = format!("{gone:x}-");
        check(
            !maps.lines().any(|line| line.starts_with(&start)),
            format_args!("something is at {gone:x}"),
        )?;
    }
    Ok(())
}

fn a_window_of_16_gib(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.set_len(WINDOW as u64)?;
    let window = memory(WINDOW)?;
    let ranges = WINDOW / RANGE;
    // Ranges that follow each other in the window, but not in the file: as many mappings.
    for n in 0..ranges {
        view_at(&window.part(n * RANGE, RANGE), (n ^ 1) * RANGE)?;
    }
    let before = kernel_mappings()?;
    file.set_len(0)?;
    let begin = Instant::now();
    for n in 0..ranges {
        let touched = n * RANGE + (n % 512) * PAGE;
        check(window.load(touched) == 0, "zeros")?;
        if n.is_multiple_of(3) {
            window.store(touched, 1);
        }
    }
    let (took, after) = (begin.elapsed(), kernel_mappings()?);
    println!("{ranges} ranges lost in {took:?}: {before} mappings of the kernel, then {after}");
    check(after < MAX_MAP_COUNT / 2, "too many mappings")?;
    comes_back(&file, &window)
}

fn one_mapping_of_16_gib(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    let window = view(0, WINDOW)?;
    let begin = Instant::now();
    for page in (0..WINDOW).step_by(PAGE * 64) {
        check(window.load(page) == 0, "zeros")?;
    }
    let (took, after) = (begin.elapsed(), kernel_mappings()?);
    println!("16 GiB lost in {took:?}: {after} mappings of the kernel");
    check(after < MAX_MAP_COUNT / 2, "too many mappings")?;
    comes_back(&file, &window)
}

/// The file grows, and is seen again at both ends.
fn comes_back(file: &std::fs::File, window: &crate::mapped::Mapped) -> io::Result<()> {
    file.set_len(WINDOW as u64)?;
    let begin = Instant::now();
    // Twice the same: the first range shows the file's second, in the one of the plays.
    for at in [0, RANGE, WINDOW - RANGE, WINDOW - 2 * RANGE] {
        file.write_all_at(&[5], at as u64)?;
    }
    for at in [0, RANGE, WINDOW - RANGE, WINDOW - 2 * RANGE] {
        window.await_byte(at, 5)?;
    }
    println!("the file was seen again within {:?}", begin.elapsed());
    Ok(())
}

/// Reads of holes fail while there is no room, and are answered by the file when there is.
fn a_hole_on_a_full_tmpfs(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.set_len(RANGE as u64)?;
    file.write_all_at(&[6; PAGE], 0)?;
    let mapped = view(0, RANGE)?;
    let filler = fill_up(path)?;
    check(mapped.load(3 * PAGE) == 0, "a hole is zeros")?;
    check(mapped.load(0) == 6, "what is there is shown")?;
    mapped.store(3 * PAGE, 1);
    check(file.write_at(&[1], 9 * PAGE as u64).is_err(), "it is full")?;
    std::fs::remove_file(filler)?;
    file.write_all_at(&[4], 3 * PAGE as u64)?;
    let took = mapped.await_byte(3 * PAGE, 4)?;
    println!("the hole was the file's again within {took:?}");
    Ok(())
}

/// More scattered lost pages than the kernel has room for mappings.
fn many_lost_pages_apart(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    // Every second page is there, in mappings of as many ranges. The small file system has room
    // for 12,000 pages; holes of 40,000 are needed, so the file is mapped several times.
    let length = 8 * RANGE;
    file.set_len(length as u64)?;
    for page in (0..length).step_by(2 * PAGE) {
        file.write_all_at(&[6], page as u64)?;
    }
    fill_up(path)?;
    let before = kernel_mappings()?;
    let mut mapped = Vec::new();
    for n in 0..120 {
        let range = view((n % 8) * RANGE, RANGE)?;
        for page in (0..RANGE).step_by(2 * PAGE) {
            check(range.load(page + PAGE) == 0, "a hole is zeros")?;
        }
        mapped.push(range);
    }
    let after = kernel_mappings()?;
    println!(
        "{} lost pages apart: {before} mappings, then {after}",
        120 * 256
    );
    check(after < MAX_MAP_COUNT, "too many mappings")?;
    check(mapped[0].load(0) == 6, "the first are not given up")
}

/// Stores to holes fail where the disk is full; what is read there stays.
fn a_store_on_a_full_disk(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.set_len(4 * RANGE as u64)?;
    file.write_all_at(&[6; PAGE], 0)?;
    file.sync_all()?;
    let mapped = view(0, 4 * RANGE)?;
    let filler = fill_up(path)?;
    let before = kernel_mappings()?;
    for page in (RANGE..3 * RANGE).step_by(PAGE) {
        mapped.store(page, 1);
        check(mapped.load(page) == 1, "a store is seen")?;
    }
    let after = kernel_mappings()?;
    println!("1,024 stores without room: {before} mappings of the kernel, then {after}");
    check(
        after <= before + 4,
        "pages that follow each other are one mapping",
    )?;
    check(mapped.load(0) == 6, "what is there is shown")?;
    std::fs::remove_file(filler)?;
    open(path.parent().unwrap_or(path))
        .and_then(|folder| folder.sync_all())
        .or_else(|_| file.sync_all())?;
    file.write_all_at(&[4], RANGE as u64)?;
    let took = mapped.await_byte(RANGE, 4)?;
    println!("the page was the file's again within {took:?}");
    mapped.store(RANGE, 5);
    let mut byte = [0];
    file.read_exact_at(&mut byte, RANGE as u64)?;
    check(byte == [5], "a store reaches the file")
}

fn a_store_on_a_full_btrfs(path: &Path) -> io::Result<()> {
    a_store_on_a_full_disk(path)
}

fn a_store_beyond_a_quota(path: &Path) -> io::Result<()> {
    a_store_on_a_full_disk(path)
}

/// The disk ends before the file's blocks, and is whole again afterwards.
fn an_error_of_the_disk(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    file.write_all_at(&vec![7; 2 * RANGE], 0)?;
    file.sync_all()?;
    let image = path.parent().and_then(Path::parent);
    let image = open(&image.ok_or(io::ErrorKind::NotFound)?.join("image"))?;
    let mut content = vec![0; image.metadata()?.len() as usize];
    image.read_exact_at(&mut content, 0)?;
    // SAFETY: calls without pointers.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    image.set_len(1 << 20)?;
    let last = 2 * RANGE - PAGE;
    let mapped = view(0, 2 * RANGE)?;
    check(mapped.load(last) == 0, "the page can't be read")?;
    mapped.store(last, 3);
    image.write_all_at(&content, 0)?;
    let took = mapped.await_byte(last, 7)?;
    println!("the disk's page was seen again within {took:?}");
    Ok(())
}

/// Writes a file beside `path` until nothing more fits.
fn fill_up(path: &Path) -> io::Result<std::path::PathBuf> {
    let filler = path.with_file_name("filler");
    let mut file = std::fs::File::create(&filler)?;
    for block in [1 << 20, PAGE] {
        let bytes = vec![1; block];
        while file
            .write_all(&bytes)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    Ok(filler)
}
