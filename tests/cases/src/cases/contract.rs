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

/// What a pin adds to the count of a page of its own (linux/mm.h).
const GUP_PIN_COUNTING_BIAS: i64 = 1024;

impl Reference {
    /// The kind that the count of a busy page tells, if all its references are of one kind. A page of a
    /// larger folio has another count.
    pub fn of_count(count: i64) -> Self {
        match count >= GUP_PIN_COUNTING_BIAS {
            true => Self::Pin,
            false => Self::Get,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pin => "FOLL_PIN",
            Self::Get => "FOLL_GET",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_tells_its_kind() {
        // With the reference of an idle page, as before 6.15, and without it.
        for count in [1024, 1025, 6 * 1024] {
            assert_eq!(Reference::of_count(count), Reference::Pin);
        }
        for count in [1, 2, 1023] {
            assert_eq!(Reference::of_count(count), Reference::Get);
        }
    }
}
