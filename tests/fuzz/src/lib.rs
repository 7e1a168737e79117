// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's fuzz targets: what an input means, how it is played, and what must hold after it.
//!
//! ```text
//!  bytes ─▶ input ─▶ targets ─▶ guest memory, sockets ─▶ the daemon's own code ─▶ ground
//!                        │                                                        (a share and
//!                        └──▶ oracles: time, memory, descriptors, identity         its canary)
//! ```
//!
//! A library, so that `cargo test` compiles the targets and replays their corpora wherever the
//! workspace is built; the programs in `fuzz_targets` hand libFuzzer's bytes to it.

pub mod fault;
pub mod ground;
pub mod guest;
pub mod input;
pub mod oracles;
pub mod seeds;
pub mod targets;
