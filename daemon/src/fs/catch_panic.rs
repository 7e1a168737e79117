// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeps a panic that a guest caused from ending the daemon or flooding its log.
//!
//! virtiofsd's server panics on a few requests (for example one without room for a reply's header).
//! Such a panic unwinds through that library alone and is caught here. It leaves no lock of the
//! library half-changed, because only reading the request panics. The hook reports every other
//! panic, ours included, as before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// A caught panic, with its message.
#[derive(Debug, thiserror::Error)]
#[error("the FUSE server panicked: {message}")]
pub(crate) struct Panicked {
    message: String,
}

/// Silences the default report of panics inside [`catch_panic`]. Only the first call in a process
/// has an effect.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CAUGHT.get() {
                log::debug!("caught: {info}");
            } else {
                report(info);
            }
        }));
    });
}

/// Runs `serve`, turning a panic into an error.
pub(crate) fn catch_panic<T>(serve: impl FnOnce() -> T) -> Result<T, Panicked> {
    CAUGHT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(serve));
    CAUGHT.set(false);
    result.map_err(|payload| Panicked {
        message: message(payload.as_ref()),
    })
}

/// The message of a panic.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::catch_panic;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = catch_panic(|| -> u32 { panic!("offset {}", u64::MAX) }).expect_err("panicked");
        assert!(
            error.to_string().ends_with("offset 18446744073709551615"),
            "{error}"
        );
        assert_eq!(catch_panic(|| 7).expect("no panic"), 7);
    }
}
