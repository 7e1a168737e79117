// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The log: stderr through env_logger, or syslog.

use std::panic;

use env_logger::Env;
use log::{LevelFilter, Log, error, warn};
use syslog::{BasicLogger, Formatter3164};

use super::library_limit::LibraryLogLimit;
use crate::config::Logging;

/// Starts the log. A failure is logged there, and does not keep the daemon from serving.
pub(crate) fn start(logging: Logging) {
    if !logging.syslog {
        to_stderr(logging.level);
    } else if let Err(error) = to_syslog(logging.level) {
        to_stderr(logging.level);
        warn!("syslog can't be reached, logging to stderr: {error}");
    }
    log_panics();
}

/// Like `syslog::init`, which has no place for [`LibraryLogLimit`]: logs to the host's own syslog,
/// or to one that listens on it.
fn to_syslog(level: LevelFilter) -> Result<(), syslog::Error> {
    let mut formatter = Formatter3164 {
        facility: syslog::Facility::LOG_USER,
        hostname: None,
        process: env!("CARGO_PKG_NAME").to_owned(),
        pid: std::process::id(),
    };
    let logger = syslog::unix(formatter.clone()).or_else(|_| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        formatter.hostname = name.map(|name| name.trim().to_owned());
        syslog::tcp(formatter.clone(), "127.0.0.1:601")
            .or_else(|_| syslog::udp(formatter, "127.0.0.1:0", "127.0.0.1:514"))
    })?;
    use_logger(BasicLogger::new(logger), level);
    Ok(())
}

/// RUST_LOG overrides the option, as in virtiofsd.
fn to_stderr(level: LevelFilter) {
    let env = Env::default().default_filter_or(filter(level));
    let logger = env_logger::Builder::from_env(env).build();
    let level = logger.filter();
    use_logger(logger, level);
}

fn use_logger(logger: impl Log + 'static, level: LevelFilter) {
    log::set_max_level(level);
    // Fails only if there is a logger already, which can't be: this is the process's first step.
    let _ = log::set_boxed_logger(Box::new(LibraryLogLimit::new(logger)));
}

/// The log filter if RUST_LOG is not set.
///
/// The library of the views logs an error for each answer that the kernel no longer waits for,
/// which happens at the end of every daemon with views, and a warning for each request of the VMM
/// that a view refuses. An operator can't act on these lines: the client that asked for a view gets
/// the error.
fn filter(level: LevelFilter) -> String {
    if level >= LevelFilter::Debug {
        level.to_string()
    } else {
        format!("{level},fuser=off")
    }
}

/// Sends panics to the log.
///
/// The standard hook would look for the working directory and the program's own path when
/// RUST_BACKTRACE is set, which the system call filter answers by killing the process; a bug in
/// the answer to one request would then take the whole daemon down.
fn log_panics() {
    panic::set_hook(Box::new(|bug| error!("bug: {bug}")));
}
