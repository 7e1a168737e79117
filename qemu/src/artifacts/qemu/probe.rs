// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Queries a QEMU's version, and whether it has the device that carries a window.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use super::QemuError;
use crate::artifacts::tool;

/// A QEMU version, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QemuVersion {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch level.
    pub micro: u32,
}

/// The first release with vhost-user's shared memory requests (SHMEM_MAP, SHMEM_UNMAP).
pub const OLDEST: QemuVersion = QemuVersion {
    major: 11,
    minor: 1,
    micro: 0,
};

/// The device that offers a back end's shared memory to the guest; vhost-user-fs-pci does not.
pub const DEVICE: &str = "vhost-user-test-device-pci";

/// Its properties that make it a virtio-fs device; a QEMU without the device prints none.
const PROPERTIES: [&str; 5] = ["chardev", "virtio-id", "num_vqs", "vq_size", "config_size"];

impl fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

impl QemuVersion {
    /// Reads the numbers at the start of `text`, such as `11.1.2+ds-3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(str::parse);
        let mut next = || numbers.next();
        let (major, minor) = (next()?.ok()?, next()?.ok()?);
        Some(Self {
            major,
            minor,
            micro: next().and_then(Result::ok).unwrap_or(0),
        })
    }

    fn printed(text: &str) -> Option<Self> {
        Self::parse(text.split_once("QEMU emulator version ")?.1)
    }
}

/// The version of the QEMU that `argv` starts, if it can carry a window; `path` is for messages.
pub(super) fn probe(path: &Path, argv: &[OsString]) -> Result<QemuVersion, QemuError> {
    let ask = |arguments: &[&str]| {
        let mut command = tool::command(&argv[0]);
        tool::output(command.args(&argv[1..]).args(arguments)).map_err(|source| {
            QemuError::DoesNotRun {
                path: path.to_owned(),
                source,
            }
        })
    };
    let printed = ask(&["--version"])?;
    let version = QemuVersion::printed(&printed).ok_or_else(|| QemuError::NotQemu {
        path: path.to_owned(),
        printed: printed.lines().next().unwrap_or_default().to_owned(),
    })?;
    if version < OLDEST {
        return Err(QemuError::TooOld {
            path: path.to_owned(),
            version,
        });
    }
    let properties = ask(&["-device", &format!("{DEVICE},help")])?;
    if !PROPERTIES
        .iter()
        .all(|name| properties.contains(&format!(" {name}=")))
    {
        return Err(QemuError::NoDevice {
            path: path.to_owned(),
            version,
        });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let printed = |text: &str| QemuVersion::printed(text).map(|version| version.to_string());
        assert_eq!(
            printed("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)\nCopyright").as_deref(),
            Some("11.1.3")
        );
        assert_eq!(
            printed("QEMU emulator version 11.0.92").as_deref(),
            Some("11.0.92")
        );
        assert_eq!(printed("Bochs 2.7"), None);
        assert!(QemuVersion::parse("11.0.92").unwrap() < OLDEST);
        assert!(QemuVersion::parse("11.1.0~rc2").unwrap() >= OLDEST);
        assert!(QemuVersion::parse("9.2") < QemuVersion::parse("10.0"));
        assert_eq!(QemuVersion::parse("x"), None);
    }
}
