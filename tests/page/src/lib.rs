// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's live page, as a browser shows it.
//!
//! A daemon, a guest that is played by virtiofs-driver, and Debian's chromium without a screen:
//! what the guest maps has to be on the page, and nothing else may happen there.

mod browser;
mod ground;
pub mod runner;
mod scene;
mod stories;
