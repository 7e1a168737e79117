// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's live page, as a browser shows it.
//!
//! The test runs a daemon, a guest that virtiofs-driver plays, and Debian's headless chromium. The
//! page has to show what the guest maps, and must do nothing else.

mod browser;
mod ground;
pub mod runner;
mod scene;
mod stories;
