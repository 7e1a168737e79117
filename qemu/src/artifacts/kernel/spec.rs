// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a user names a kernel.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::build::BuiltKernel;

/// Which kernel a guest shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSpec {
    /// A stock kernel of Debian.
    Debian(DebianKernel),
    /// A kernel built here from Debian's source.
    Built(BuiltKernel),
    /// A bzImage of the caller's own.
    Image(PathBuf),
    /// A configured source tree of the caller's own.
    Tree(PathBuf),
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
#[error(
    "{0:?} is no kernel: use {names}, the path of a bzImage or that of a configured kernel source \
     tree",
    names = KernelSpec::names()
)]
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

impl KernelSpec {
    /// All kernels that have names, but the mutants.
    pub fn named() -> impl Iterator<Item = Self> {
        let debian = DebianKernel::ALL.into_iter().map(Self::Debian);
        debian.chain(BuiltKernel::named().map(Self::Built))
    }

    /// Whether it is the caller's own, given by its path. Only such a kernel has modules apart from it.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Tree(_))
    }

    fn names() -> String {
        let debian = DebianKernel::ALL.map(DebianKernel::label).join(", ");
        format!("{debian}, {}", BuiltKernel::names())
    }
}

impl FromStr for KernelSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if let Some(spec) = Self::named().find(|spec| spec.to_string() == text) {
            return Ok(spec);
        }
        if let Ok(kernel) = text.parse() {
            return Ok(Self::Built(kernel));
        }
        // A bare word is more likely a typing error than a file of that name; ./NAME names the
        // file.
        let path = PathBuf::from(text);
        match text.contains('/') {
            true if path.is_dir() => Ok(Self::Tree(path)),
            true => Ok(Self::Image(path)),
            false => Err(SpecError(text.to_owned())),
        }
    }
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(kernel) => f.write_str(kernel.label()),
            Self::Built(kernel) => kernel.fmt(f),
            Self::Image(path) | Self::Tree(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        let names = KernelSpec::named().map(|spec| spec.to_string());
        for name in names.chain(["/boot/vmlinuz", "./bzImage", "/"].map(str::to_owned)) {
            assert_eq!(name.parse::<KernelSpec>().unwrap().to_string(), name);
        }
        assert_eq!(
            "build:6.12+seed".parse(),
            Ok(KernelSpec::Built("build:6.12+seed".parse().unwrap()))
        );
    }

    #[test]
    fn a_folder_is_a_source_tree_and_a_file_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bzImage");
        let parse = |path: &std::path::Path| path.to_str().unwrap().parse();
        assert_eq!(
            parse(folder.path()),
            Ok(KernelSpec::Tree(folder.path().to_owned()))
        );
        assert_eq!(parse(&file), Ok(KernelSpec::Image(file.clone())));
    }

    #[test]
    fn a_slip_is_answered_with_the_choices() {
        for name in [
            "debian:6.11",
            "6.12",
            "",
            "debian",
            "build:6.12+sed",
            "build",
        ] {
            let error = name.parse::<KernelSpec>().unwrap_err().to_string();
            for choice in [
                "debian:latest",
                "build:6.12,",
                "build:6.12+nowake",
                "build:7.3+mutant-NAME",
                "bzImage",
            ] {
                assert!(error.contains(choice), "{error}");
            }
        }
    }
}
