// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The names of FUSE's operations, and which of them are timed together.

/// Operations that are timed together: they have similar costs, for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// READ.
    Read,
    /// WRITE.
    Write,
    /// Names and attributes, looked at.
    Lookup,
    /// Names and attributes, changed.
    Change,
    /// Files and directories, opened, created and closed.
    Open,
    /// Directories, read.
    Directory,
    /// Operations that wait for the disk.
    Sync,
    /// SETUPMAPPING.
    SetupMapping,
    /// REMOVEMAPPING.
    RemoveMapping,
    /// All others, and those that FUSE does not know.
    Other,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Lookup,
        Self::Change,
        Self::Open,
        Self::Directory,
        Self::Sync,
        Self::SetupMapping,
        Self::RemoveMapping,
        Self::Other,
    ];

    /// The value of the label `class`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Lookup => "lookup",
            Self::Change => "change",
            Self::Open => "open",
            Self::Directory => "directory",
            Self::Sync => "sync",
            Self::SetupMapping => "setupmapping",
            Self::RemoveMapping => "removemapping",
            Self::Other => "other",
        }
    }
}

use Class::{
    Change, Directory, Lookup, Open, Other, Read, RemoveMapping, SetupMapping, Sync, Write,
};

/// FUSE's operations by their numbers (`enum fuse_opcode`). Number 0, and gaps, are unknown ones.
pub(crate) const OPERATIONS: [(&str, Class); 52] = [
    ("unknown", Other),
    ("lookup", Lookup),
    ("forget", Other),
    ("getattr", Lookup),
    ("setattr", Change),
    ("readlink", Lookup),
    ("symlink", Change),
    ("unknown", Other),
    ("mknod", Change),
    ("mkdir", Change),
    ("unlink", Change),
    ("rmdir", Change),
    ("rename", Change),
    ("link", Change),
    ("open", Open),
    ("read", Read),
    ("write", Write),
    ("statfs", Lookup),
    ("release", Open),
    ("unknown", Other),
    ("fsync", Sync),
    ("setxattr", Change),
    ("getxattr", Lookup),
    ("listxattr", Lookup),
    ("removexattr", Change),
    ("flush", Open),
    ("init", Other),
    ("opendir", Open),
    ("readdir", Directory),
    ("releasedir", Open),
    ("fsyncdir", Sync),
    ("getlk", Other),
    ("setlk", Other),
    ("setlkw", Other),
    ("access", Lookup),
    ("create", Open),
    ("interrupt", Other),
    ("bmap", Other),
    ("destroy", Other),
    ("ioctl", Other),
    ("poll", Other),
    ("notify_reply", Other),
    ("batch_forget", Other),
    ("fallocate", Change),
    ("readdirplus", Directory),
    ("rename2", Change),
    ("lseek", Lookup),
    ("copy_file_range", Write),
    ("setupmapping", SetupMapping),
    ("removemapping", RemoveMapping),
    ("syncfs", Sync),
    ("tmpfile", Open),
];

/// The place of an operation in [`OPERATIONS`].
pub(crate) fn index(opcode: u32) -> usize {
    let index = opcode as usize;
    match OPERATIONS.get(index) {
        Some((name, _)) if *name != "unknown" => index,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use virtiofsd::fuse::Opcode;

    use super::{Class, OPERATIONS, index};

    #[test]
    fn the_names_are_those_of_the_numbers() {
        for opcode in 0..1000 {
            let name = OPERATIONS[index(opcode)].0;
            match Opcode::try_from(opcode) {
                Ok(known) => {
                    let theirs = format!("{known:?}").to_lowercase();
                    assert_eq!(name.replace('_', ""), theirs, "{opcode}");
                }
                Err(_) => assert_eq!(name, "unknown", "{opcode}"),
            }
        }
    }

    #[test]
    fn a_class_is_where_its_number_says() {
        for (number, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number);
        }
    }
}
