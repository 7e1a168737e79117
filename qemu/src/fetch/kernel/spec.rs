// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a user names a kernel.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Which kernel a guest shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSpec {
    /// A stock kernel of Debian.
    Debian(DebianKernel),
    /// A bzImage of the caller's own.
    Image(PathBuf),
}

/// The stock kernels that guests can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebianKernel {
    /// `debian:6.1`
    V6_1,
    /// `debian:6.12`
    V6_12,
    /// `debian:latest`
    Latest,
}

/// A name that is no kernel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kernel: use debian:6.1, debian:6.12, debian:latest or the path of a bzImage")]
pub struct SpecError(String);

impl DebianKernel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::Latest];

    /// Its name on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Self::V6_1 => "debian:6.1",
            Self::V6_12 => "debian:6.12",
            Self::Latest => "debian:latest",
        }
    }

    /// The suite it comes from.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm",
            Self::V6_12 => "trixie",
            Self::Latest => "sid",
        }
    }
}

impl FromStr for KernelSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if let Some(kernel) = DebianKernel::ALL
            .into_iter()
            .find(|kernel| kernel.label() == text)
        {
            return Ok(Self::Debian(kernel));
        }
        // A bare word is more likely a slip than a file of that name; ./NAME names the file.
        if text.contains('/') {
            Ok(Self::Image(text.into()))
        } else {
            Err(SpecError(text.to_owned()))
        }
    }
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(kernel) => f.write_str(kernel.label()),
            Self::Image(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for name in [
            "debian:6.1",
            "debian:6.12",
            "debian:latest",
            "/boot/vmlinuz",
            "./bzImage",
        ] {
            assert_eq!(name.parse::<KernelSpec>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_choices() {
        for name in ["debian:6.11", "6.12", "", "debian"] {
            let error = name.parse::<KernelSpec>().unwrap_err().to_string();
            assert!(error.contains("debian:latest"), "{error}");
        }
    }
}
