// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The first bytes of each direction.
//!
//! They stay the same in every version of the protocol, so that two ends of different versions
//! can still tell what is wrong.

use std::fmt;

use super::FrameError;

/// A version of the protocol. Any change of a message makes a new one: host and guest are built
/// from one tree, so there is no need to speak an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u16);

impl Version {
    /// What this build speaks.
    pub const CURRENT: Self = Self(1);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fixed greeting: eight bytes of magic, then the version, little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Preamble;

impl Preamble {
    const MAGIC: [u8; 8] = *b"\0dax-lab";

    /// How many bytes it takes.
    pub const LEN: usize = Self::MAGIC.len() + size_of::<u16>();

    /// The greeting of this build.
    pub fn bytes() -> [u8; Self::LEN] {
        Self::of(Version::CURRENT)
    }

    /// The greeting of a build that speaks `version`.
    pub fn of(version: Version) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..Self::MAGIC.len()].copy_from_slice(&Self::MAGIC);
        bytes[Self::MAGIC.len()..].copy_from_slice(&version.0.to_le_bytes());
        bytes
    }

    /// Checks the other end's greeting.
    ///
    /// # Errors
    ///
    /// [`FrameError::NotAnAgent`] when the magic is wrong, [`FrameError::Version`] when the other
    /// end speaks another version.
    pub fn check(bytes: &[u8; Self::LEN]) -> Result<(), FrameError> {
        let (magic, version) = bytes.split_at(Self::MAGIC.len());
        if magic != Self::MAGIC {
            return Err(FrameError::NotAnAgent);
        }
        let theirs = Version(u16::from_le_bytes([version[0], version[1]]));
        if theirs != Version::CURRENT {
            return Err(FrameError::Version {
                ours: Version::CURRENT,
                theirs,
            });
        }
        Ok(())
    }
}
