// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A log without output. It formats every message that a guest can cause.

use std::fmt::Write as _;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

struct Nowhere;

struct Swallow;

impl std::fmt::Write for Swallow {
    fn write_str(&mut self, _text: &str) -> std::fmt::Result {
        Ok(())
    }
}

impl Log for Nowhere {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A wrong `Display` shows itself by a panic.
        let _ = Swallow.write_fmt(*record.args());
    }

    fn flush(&self) {}
}

/// Installs the logger, at the most verbose level.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another logger of a test works as well.
        if log::set_logger(&Nowhere).is_ok() {
            log::set_max_level(LevelFilter::Debug);
        }
    });
}
