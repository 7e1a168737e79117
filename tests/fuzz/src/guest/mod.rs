// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's side: its memory, its requests, and the replies.

pub mod fs;
pub mod memory;
pub mod message;
pub mod queue;
pub mod reply;
pub mod shape;
