// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The back-end channel without a daemon, in milliseconds.

mod pair;
mod rules;
mod script;
