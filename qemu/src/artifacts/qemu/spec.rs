// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a user says which QEMU is meant.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The environment variable that says it where no option does.
pub const VARIABLE: &str = "DAXLAB_QEMU";

/// A QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QemuSpec {
    /// `stock`: this machine's own if it will do, else the one that is fetched.
    Stock,
    /// `series`: built here from Debian's source and the patches in patches/qemu.
    Series,
    /// `series:stock`: the same program, with what the patches change in the window switched off.
    SeriesAsStock,
    /// A program of the caller's.
    Path(PathBuf),
}

impl QemuSpec {
    const STOCK: &str = "stock";
    const SERIES: &str = "series";
    const SERIES_AS_STOCK: &str = "series:stock";

    /// What [`VARIABLE`] names, else the stock one.
    pub fn from_environment() -> Self {
        let named = env::var_os(VARIABLE).filter(|text| !text.is_empty());
        named.map_or(Self::Stock, Self::from)
    }
}

impl From<OsString> for QemuSpec {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some(Self::STOCK) => Self::Stock,
            Some(Self::SERIES) => Self::Series,
            Some(Self::SERIES_AS_STOCK) => Self::SeriesAsStock,
            _ => Self::Path(text.into()),
        }
    }
}

impl FromStr for QemuSpec {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(OsString::from(text).into())
    }
}

impl fmt::Display for QemuSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock => f.write_str(Self::STOCK),
            Self::Series => f.write_str(Self::SERIES),
            Self::SeriesAsStock => f.write_str(Self::SERIES_AS_STOCK),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_a_path() {
        for name in [
            "stock",
            "series",
            "series:stock",
            "/usr/bin/qemu-system-x86_64",
            "./series",
        ] {
            let Ok(spec) = name.parse::<QemuSpec>();
            assert_eq!(spec.to_string(), name);
            assert_eq!(
                matches!(spec, QemuSpec::Path(_)),
                name.contains('/'),
                "{name}"
            );
        }
    }
}
