// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The DAX window: its thread, its operations, and its place in guest memory.

pub(crate) mod address_space;
pub(crate) mod census;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod locate;
pub(crate) mod openers;
pub(crate) mod operations;
pub(crate) mod thread;
