// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The log: stderr through env_logger, or syslog.

use std::panic;

use env_logger::Env;
use log::{LevelFilter, error, warn};

use super::restraint::Restrained;
use crate::config::Logging;

/// Starts the log; what can't be had is said there, and is no reason not to serve.
pub(super) fn start(logging: Logging) {
    if !logging.syslog {
        to_stderr(logging.level);
    } else if let Err(error) = syslog::init(syslog::Facility::LOG_USER, logging.level, None) {
        to_stderr(logging.level);
        warn!("syslog can't be reached, logging to stderr: {error}");
    }
    log_panics();
}

/// RUST_LOG counts more than the option, as in virtiofsd. A syslog has a limit of its own for the
/// lines of one process; here it is kept by [`Restrained`].
fn to_stderr(level: LevelFilter) {
    let env = Env::default().default_filter_or(filter(level));
    let logger = env_logger::Builder::from_env(env).build();
    log::set_max_level(logger.filter());
    // Fails only where there is a logger, which there is not: this is the process's first step.
    let _ = log::set_boxed_logger(Box::new(Restrained::new(logger)));
}

/// What is logged where RUST_LOG is not set.
///
/// The library behind the views calls each answer an error that the kernel no longer waits for,
/// which is how every daemon with views ends, and each request of the VMM that a view refuses worth
/// a warning. Nobody can act on these: whoever asked for a view learns what came of it.
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
