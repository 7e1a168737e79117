// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The model, and the rig that compares it with a window, of `shared-window/tests/model`.

#[path = "../../../../../shared-window/tests/model/action.rs"]
pub(super) mod action;
#[path = "../../../../../shared-window/tests/model/plain.rs"]
pub(super) mod plain;
#[path = "../../../../../shared-window/tests/model/rig.rs"]
pub(super) mod rig;
#[path = "../../../../../shared-window/tests/model/seams.rs"]
pub(super) mod seams;
