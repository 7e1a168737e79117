// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A request, from the descriptor chain to the reply.

pub(crate) mod engine;
pub(crate) mod fast_path;
pub(crate) mod message;
pub(crate) mod sigbus;
