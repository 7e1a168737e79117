// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The capabilities that the daemon keeps, and `--modcaps`, which changes them.

use std::collections::BTreeSet;
use std::str::FromStr;

use virtiofsd::passthrough::InodeFileHandlesMode;

/// The capabilities of a file server that acts for any user of the guest: virtiofsd 1.14's default.
const DEFAULT: [&str; 8] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETGID",
    "SETUID",
    "MKNOD",
    "SETFCAP",
];

/// The capability for open_by_handle_at(2).
const FILE_HANDLES: &str = "DAC_READ_SEARCH";

/// `--modcaps`: names without `CAP_`, in capitals, added and removed. The last change of a name
/// counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilityChanges {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
}

/// Why a text is no list of changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModcapsError {
    /// Nothing between two colons, or nothing at all.
    #[error("an item is empty, expected '+name' or '-name' joined by ':'")]
    Empty,
    /// No sign in front.
    #[error("'{item}' has no sign, expected '+{item}' to keep it or '-{item}' to drop it")]
    NoSign {
        /// The item.
        item: String,
    },
    /// libcap-ng doesn't know the name.
    #[error("'{name}' is no capability that this system knows (names go without 'CAP_')")]
    Unknown {
        /// The name.
        name: String,
    },
}

impl FromStr for CapabilityChanges {
    type Err = ModcapsError;

    fn from_str(text: &str) -> Result<Self, ModcapsError> {
        let mut changes = Self::default();
        for item in text.split(':') {
            let (sign, name) = split_sign(item)?;
            let name = name.to_uppercase();
            if capng::name_to_capability(&name).is_err() {
                return Err(ModcapsError::Unknown { name });
            }
            let (into, out_of) = match sign {
                Sign::Plus => (&mut changes.added, &mut changes.removed),
                Sign::Minus => (&mut changes.removed, &mut changes.added),
            };
            out_of.remove(&name);
            into.insert(name);
        }
        Ok(changes)
    }
}

/// Whether an item adds or removes.
enum Sign {
    Plus,
    Minus,
}

/// Takes the sign off an item of the list.
fn split_sign(item: &str) -> Result<(Sign, &str), ModcapsError> {
    if let Some(name) = item.strip_prefix('+') {
        Ok((Sign::Plus, name))
    } else if let Some(name) = item.strip_prefix('-') {
        Ok((Sign::Minus, name))
    } else if item.is_empty() {
        Err(ModcapsError::Empty)
    } else {
        Err(ModcapsError::NoSign {
            item: item.to_owned(),
        })
    }
}

/// Why a set of capabilities can't be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// `--modcaps` and `--inode-file-handles` contradict each other.
    #[error(
        "--modcaps=-dac_read_search takes away what file handles need; \
         use --inode-file-handles=never with it"
    )]
    FileHandles,
}

/// The capabilities that are permitted and effective once the daemon serves; all others are gone
/// from every set, the bounding set too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCapabilities(BTreeSet<String>);

impl KeptCapabilities {
    /// The default set, with the operator's changes and the capability for file handles.
    ///
    /// # Errors
    ///
    /// If the changes remove the capability for file handles.
    pub fn new(
        changes: &CapabilityChanges,
        file_handles: InodeFileHandlesMode,
    ) -> Result<Self, CapabilityError> {
        let mut kept: BTreeSet<String> = DEFAULT.map(str::to_owned).into();
        kept.extend(changes.added.iter().cloned());
        kept.retain(|name| !changes.removed.contains(name));
        if file_handles != InodeFileHandlesMode::Never {
            if changes.removed.contains(FILE_HANDLES) {
                return Err(CapabilityError::FileHandles);
            }
            kept.insert(FILE_HANDLES.to_owned());
        }
        Ok(Self(kept))
    }

    /// The names, without `CAP_`, in capitals.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use virtiofsd::passthrough::InodeFileHandlesMode::{self, Never, Prefer};

    use super::{CapabilityChanges, CapabilityError, KeptCapabilities, ModcapsError};

    fn kept(text: &str, mode: InodeFileHandlesMode) -> Vec<String> {
        let changes: CapabilityChanges = text.parse().unwrap();
        let kept = KeptCapabilities::new(&changes, mode).unwrap();
        kept.names().map(str::to_owned).collect()
    }

    #[test]
    fn the_default_set_depends_on_file_handles() {
        let changes = CapabilityChanges::default();
        let without = KeptCapabilities::new(&changes, Never).unwrap();
        assert_eq!(without.names().count(), 8);
        let with = KeptCapabilities::new(&changes, Prefer).unwrap();
        assert!(with.names().any(|name| name == "DAC_READ_SEARCH"));
        assert_eq!(with.names().count(), 9);
    }

    #[test]
    fn the_last_word_on_a_name_counts() {
        assert!(kept("+sys_admin:-chown", Never).contains(&"SYS_ADMIN".to_owned()));
        assert!(!kept("+sys_admin:-chown", Never).contains(&"CHOWN".to_owned()));
        assert!(kept("-chown:+chown", Never).contains(&"CHOWN".to_owned()));
        assert!(!kept("+chown:-Chown", Never).contains(&"CHOWN".to_owned()));
    }

    #[test]
    fn a_bad_list_says_what_is_wrong() {
        let parse = |text: &str| text.parse::<CapabilityChanges>().unwrap_err();
        assert_eq!(parse(""), ModcapsError::Empty);
        assert_eq!(parse("+chown:"), ModcapsError::Empty);
        assert!(matches!(parse("chown"), ModcapsError::NoSign { .. }));
        assert!(matches!(parse("+bogus"), ModcapsError::Unknown { .. }));
        assert!(matches!(parse("+cap_chown"), ModcapsError::Unknown { .. }));
    }

    #[test]
    fn file_handles_keep_their_capability() {
        let changes: CapabilityChanges = "-dac_read_search".parse().unwrap();
        assert_eq!(
            KeptCapabilities::new(&changes, Prefer),
            Err(CapabilityError::FileHandles)
        );
        assert!(KeptCapabilities::new(&changes, Never).is_ok());
    }
}
