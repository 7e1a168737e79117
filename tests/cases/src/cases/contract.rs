// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a removal owes to a page that is in use.

/// How the kernel holds a page (Linux's Documentation/core-api/pin_user_pages.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// FOLL_PIN: counted as a pin, in steps of 1024.
    Pin,
    /// FOLL_GET: an ordinary reference.
    Get,
}

impl Reference {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pin => "FOLL_PIN",
            Self::Get => "FOLL_GET",
        }
    }
}
