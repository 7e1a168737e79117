// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The agent and the lab's client of it together, without a guest in between.

mod commands;
mod connection;
mod local;
mod terminals;
