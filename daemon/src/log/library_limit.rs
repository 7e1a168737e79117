// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeps a guest from filling the host's disk with log lines of libraries.
//!
//! For example, virtiofsd logs each INIT of a driver that offers less than configured, and
//! virtio-queue each invalid ring; a guest can cause any number of those. Each such line is let
//! through once in an interval. The daemon's own lines are limited where they are made. Debug lines
//! are not limited.

use std::collections::HashMap;

use log::{Level, Log, Metadata, Record};
use parking_lot::Mutex;

use super::LogLimit;

/// A place in a source file; each log statement has its own.
type Place = (Option<&'static str>, Option<u32>);

/// A logger that limits the lines of libraries.
pub(crate) struct LibraryLogLimit<L> {
    logger: L,
    /// At most one entry for each log statement of the libraries.
    log_limits: Mutex<HashMap<Place, LogLimit>>,
}

impl<L> LibraryLogLimit<L> {
    pub(crate) fn new(logger: L) -> Self {
        Self {
            logger,
            log_limits: Mutex::default(),
        }
    }
}

/// Whether the line is a library's, and not for debugging.
fn is_limited(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    metadata.level() <= Level::Info && !ours
}

impl<L: Log> Log for LibraryLogLimit<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_limited(record.metadata()) {
            return self.logger.log(record);
        }
        let place = (record.file_static(), record.line());
        let mut log_limits = self.log_limits.lock();
        let log_limit = log_limits.entry(place).or_default();
        log_limit.log_with(record.args(), |text| {
            let record = Record::builder()
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .args(text)
                .build();
            self.logger.log(&record);
        });
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use log::{Level, Log, Metadata, Record};
    use parking_lot::Mutex;

    use super::LibraryLogLimit;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Log for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    #[test]
    fn a_flood_of_the_library_becomes_one_line_and_ours_stays() {
        let lines = Lines::default();
        let logger = LibraryLogLimit::new(lines.clone());
        let log = |target, level, line| {
            let metadata = Metadata::builder().target(target).level(level).build();
            logger.log(
                &Record::builder()
                    .metadata(metadata)
                    .file_static(Some("src/file.rs"))
                    .line(Some(line))
                    .args(format_args!("{target} {line}"))
                    .build(),
            );
        };
        for _ in 0..1000 {
            log("virtiofsd::server", Level::Error, 1);
            log("virtiofsd::passthrough", Level::Warn, 2);
            log("virtio_queue::queue", Level::Error, 3);
            log("shared_window::window::operations", Level::Warn, 4);
        }
        let expected = [
            "virtiofsd::server 1",
            "virtiofsd::passthrough 2",
            "virtio_queue::queue 3",
            "shared_window::window::operations 4",
        ];
        assert_eq!(*lines.0.lock(), expected);
        lines.0.lock().clear();
        for _ in 0..3 {
            log("virtiofs_daxd::process", Level::Error, 1);
            log("virtiofsd::server", Level::Debug, 3);
        }
        assert_eq!(lines.0.lock().len(), 6);
    }
}
