// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SIGBUS and SIGSEGV: kept unblocked, handled, and forwarded if they are not about views.
//!
//! QEMU blocks all signals in its threads, and a blocked signal that the thread itself causes kills
//! QEMU, whatever handler is installed. So the interposed functions that block signals leave out
//! these two, also in the masks of handlers. From the first view on both handlers are this
//! library's. QEMU's handlers are recorded here, and called for signals that this library does not
//! handle.

use core::ffi::{c_int, c_void};
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::lock::Lock;
use crate::next::Next;
use crate::{fault, sys};

/// The signals that are handled here.
const OURS: [c_int; 2] = [libc::SIGBUS, libc::SIGSEGV];

/// `si_code` of an access to a lost page of a mapped file (SIGBUS).
const NO_PAGE: c_int = 2;

/// `si_code` of an access that the mapping doesn't allow (SIGSEGV).
const NOT_ALLOWED: c_int = 2;

static NEXT_SIGACTION: Next = Next::new(c"sigaction");
static NEXT_SIGNAL: Next = Next::new(c"signal");
static NEXT_SIGPROCMASK: Next = Next::new(c"sigprocmask");
static NEXT_PTHREAD_SIGMASK: Next = Next::new(c"pthread_sigmask");

type SigAction = extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
type SetMask = extern "C" fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int;
type SimpleHandler = extern "C" fn(c_int);
type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The program's own actions for these signals.
pub(crate) static ACTIONS: Lock<[Action; OURS.len()]> = Lock::new([Action::DEFAULT; OURS.len()]);

/// Whether our handlers are installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// A handler of the program.
#[derive(Clone, Copy)]
pub(crate) struct Action {
    handler: usize,
    flags: c_int,
    mask: u64,
}

impl Action {
    const DEFAULT: Self = Self {
        handler: libc::SIG_DFL,
        flags: 0,
        mask: 0,
    };

    fn of(action: &libc::sigaction) -> Self {
        Self {
            handler: action.sa_sigaction,
            flags: action.sa_flags,
            mask: bits(&action.sa_mask),
        }
    }

    fn into_sigaction(self) -> libc::sigaction {
        let mut set = empty_set();
        for signal in 1..=64 {
            if self.mask & sys::signal_bit(signal) != 0 {
                // SAFETY: the set is a local, and the signal is one of the kernel's.
                unsafe { libc::sigaddset(&raw mut set, signal) };
            }
        }
        // SAFETY: all zeros are a valid value: no handler, no flags, and no restorer; libc sets its
        // own.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = self.handler;
        action.sa_flags = self.flags;
        action.sa_mask = set;
        action
    }
}

fn index(signal: c_int) -> Option<usize> {
    OURS.iter().position(|ours| *ours == signal)
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a set of bits.
    unsafe { mem::zeroed() }
}

/// The kernel's part of a set.
fn bits(set: &libc::sigset_t) -> u64 {
    // SAFETY: a set begins with the kernel's 64 bits.
    unsafe { *core::ptr::from_ref(set).cast::<u64>() }
}

/// The set without our signals.
fn without_ours(set: &libc::sigset_t) -> libc::sigset_t {
    let mut set = *set;
    for signal in OURS {
        // SAFETY: the set is a copy of a valid one.
        unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}

/// Unblocks both signals in the calling thread.
pub(crate) fn unblock() {
    let both = OURS
        .iter()
        .fold(0, |set, ours| set | sys::signal_bit(*ours));
    sys::signal_mask(libc::SIG_UNBLOCK, both);
}

/// Installs the handlers and records the earlier ones.
pub(crate) fn install() {
    let mut actions = ACTIONS.lock();
    for (signal, kept) in OURS.into_iter().zip(actions.iter_mut()) {
        let ours = Action {
            handler: (on_signal as Handler) as usize,
            flags: libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART,
            mask: sys::ALL_SIGNALS,
        };
        let mut before = Action::DEFAULT.into_sigaction();
        if next_sigaction(signal, &ours.into_sigaction(), &raw mut before) == 0 {
            *kept = Action::of(&before);
        } else {
            sys::say(
                b"qemu-guard: a lost page of a mapped file can end this process: no handler\n",
            );
        }
    }
    INSTALLED.store(true, Ordering::Release);
}

fn next_sigaction(
    signal: c_int,
    action: *const libc::sigaction,
    before: *mut libc::sigaction,
) -> c_int {
    let next = NEXT_SIGACTION.address();
    if next.is_null() {
        return -1;
    }
    // SAFETY: it is libc's function of that name and type.
    let next: SigAction = unsafe { mem::transmute(next) };
    next(signal, action, before)
}

/// sigaction(2).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    action: *const libc::sigaction,
    before: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the caller's: null, or an action.
    let action = unsafe { action.as_ref() };
    match index(signal) {
        Some(index) if INSTALLED.load(Ordering::Acquire) => {
            let old = exchange(index, action.map(Action::of));
            if !before.is_null() {
                // SAFETY: the caller's: room for an action.
                unsafe { before.write(old.into_sigaction()) };
            }
            0
        }
        _ => {
            let action = action.map(|action| libc::sigaction {
                sa_mask: without_ours(&action.sa_mask),
                ..*action
            });
            let action = action
                .as_ref()
                .map_or(core::ptr::null(), core::ptr::from_ref);
            next_sigaction(signal, action, before)
        }
    }
}

/// Replaces the program's recorded action by `new`, if given; returns the earlier one.
fn exchange(index: usize, new: Option<Action>) -> Action {
    let mut actions = ACTIONS.lock();
    let Some(kept) = actions.get_mut(index) else {
        return Action::DEFAULT;
    };
    mem::replace(kept, new.unwrap_or(*kept))
}

/// signal(2).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn signal(signal: c_int, handler: usize) -> usize {
    match index(signal) {
        Some(index) if INSTALLED.load(Ordering::Acquire) => {
            let action = Action {
                handler,
                flags: libc::SA_RESTART,
                mask: 0,
            };
            exchange(index, Some(action)).handler
        }
        _ => {
            let next = NEXT_SIGNAL.address();
            if next.is_null() {
                return libc::SIG_ERR;
            }
            // SAFETY: it is libc's function of that name and type.
            let next: extern "C" fn(c_int, usize) -> usize = unsafe { mem::transmute(next) };
            next(signal, handler)
        }
    }
}

/// sigprocmask(2).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const libc::sigset_t,
    before: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { set_mask(&NEXT_SIGPROCMASK, how, set, before) }
}

/// pthread_sigmask(3).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const libc::sigset_t,
    before: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { set_mask(&NEXT_PTHREAD_SIGMASK, how, set, before) }
}

/// # Safety
/// `set` is null or a set, `before` null or room for one.
unsafe fn set_mask(
    next: &Next,
    how: c_int,
    set: *const libc::sigset_t,
    before: *mut libc::sigset_t,
) -> c_int {
    let next = next.address();
    if next.is_null() {
        return libc::ENOSYS;
    }
    // SAFETY: it is libc's function of that name and type.
    let next: SetMask = unsafe { mem::transmute(next) };
    // SAFETY: the caller's.
    match unsafe { set.as_ref() } {
        Some(set) if how != libc::SIG_UNBLOCK => next(how, &without_ours(set), before),
        _ => next(how, set, before),
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let errno = sys::errno();
    // SAFETY: the kernel passes the signal's information.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    let answered = match (signal, code) {
        (libc::SIGBUS, NO_PAGE) => fault::page_is_lost(address),
        (libc::SIGSEGV, NOT_ALLOWED) => fault::page_is_stored_to(address),
        _ => false,
    };
    if !answered {
        forward(signal, code, info, context);
    }
    sys::set_errno(errno);
}

/// Does what the program's own action would have done.
fn forward(signal: c_int, code: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(index) = index(signal) else { return };
    let action = {
        let mut actions = ACTIONS.lock();
        let Some(kept) = actions.get_mut(index) else {
            return;
        };
        let action = *kept;
        if action.flags & libc::SA_RESETHAND != 0 {
            kept.handler = libc::SIG_DFL;
        }
        action
    };
    // A signal for an access is sent again when the access is repeated, and the kernel doesn't let
    // it be ignored.
    let repeats = code > 0;
    match action.handler {
        libc::SIG_IGN if !repeats => {}
        libc::SIG_DFL | libc::SIG_IGN => end_by(signal, repeats),
        handler => call(action, handler, signal, info, context),
    }
}

/// Lets the signal end the process when the handler returns.
fn end_by(signal: c_int, repeats: bool) {
    let default = Action::DEFAULT.into_sigaction();
    next_sigaction(signal, &raw const default, core::ptr::null_mut());
    if !repeats {
        // SAFETY: a call without pointers. The signal is blocked as long as the handler runs.
        unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                libc::getpid(),
                libc::syscall(libc::SYS_gettid),
                signal,
            );
        }
    }
}

/// Calls the program's handler, with the signals blocked that it asked for. The handler may leave
/// by a jump.
fn call(
    action: Action,
    handler: usize,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: the kernel passes the thread's context, whose set begins with the kernel's bits.
    let interrupted = unsafe { bits(&(*context.cast::<libc::ucontext_t>()).uc_sigmask) };
    let own = match action.flags & libc::SA_NODEFER {
        0 => sys::signal_bit(signal),
        _ => 0,
    };
    let ours = sys::signal_mask(libc::SIG_SETMASK, interrupted | action.mask | own);
    if action.flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the program has said that it is such a handler.
        let handler: Handler = unsafe { mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: the program has said that it is such a handler.
        let handler: SimpleHandler = unsafe { mem::transmute(handler) };
        handler(signal);
    }
    sys::signal_mask(libc::SIG_SETMASK, ours);
}
