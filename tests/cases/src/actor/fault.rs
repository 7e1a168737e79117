// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why an order could not be carried out.

use std::io;

use serde::{Deserialize, Serialize};

/// What went wrong in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{doing}: {message}")]
pub struct Fault {
    /// What was being done.
    pub doing: String,
    /// The kernel's error number, where it was the kernel that said no.
    pub errno: Option<i32>,
    /// Its text.
    pub message: String,
}

impl Fault {
    /// Something that is wrong with the order itself.
    pub fn order(doing: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            errno: None,
            message: message.into(),
        }
    }

    /// For `map_err`: the kernel refused `doing`.
    pub fn of<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| {
            let error: io::Error = error.into();
            Self {
                doing,
                errno: error.raw_os_error(),
                message: error.to_string(),
            }
        }
    }
}
