// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's fuzz targets: the meaning of an input, how it is played, and the checks after it.
//!
//! ```text
//!  bytes ─▶ input ─▶ targets ─▶ guest memory, sockets ─▶ the daemon's own code ─▶ fixture
//!                        │                                                        (a share and
//!                        └──▶ oracles: time, memory, descriptors, identity         its sentinel)
//! ```
//!
//! This is a library, so that `cargo test` compiles the targets and replays their corpora wherever
//! the workspace is built. The program in `program.rs` passes libFuzzer's bytes to it.

pub mod fault;
mod fixture;
mod guest;
mod input;
mod oracles;
pub mod targets;
