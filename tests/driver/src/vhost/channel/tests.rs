// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tests of the back-end channel without a daemon.

mod pair;
mod rules;
mod script;
