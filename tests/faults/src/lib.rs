// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Faults around the daemon, and what must be true after each of them.
//!
//! ```text
//! fault ─▶ rig: daemon, VM, a client for each queue ─▶ steps ─▶ daemon
//!            └─ model: files and window, by the same steps        │
//!          checks ◀── guest's errno, bytes, tables, processes ◀───┘
//! ```
//!
//! | room | what it is |
//! |---|---|
//! | `fault` | what a fault is; the table of all is in `faults` |
//! | `rig` | a daemon with a VM, and steps that the model follows |
//! | `model` | what files and window have to be |
//! | `checks` | what has to be true after a fault |
//! | `escapes` | requests made to get at what is not shared, beside virtiofsd |
//! | `host` | file systems under the share that fail or are slow |
//! | `vmm` | the VMM as a process of its own, to be killed |
//! | [`runner`] | the program that plays the faults one by one |
//! | [`soak`] | all of it at random, by a seed |
//!
//! The driver's VM is the VMM. Its rules and scripts reproduce QEMU's correct and wrong behaviour.

mod checks;
mod escapes;
mod fault;
mod faults;
mod host;
mod model;
mod rig;
pub mod runner;
pub mod soak;
mod vmm;
