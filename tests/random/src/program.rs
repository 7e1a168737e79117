// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a program consists of.

use dax_cases::cases::Pin;
use dax_cases::host::FileSystem;
use guest_agent::removals::RangeMode;

/// Pages of what FUSE DAX maps at a time.
pub const RANGE_PAGES: u64 = 512;

/// A worker in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The first.
    A,
    /// The second.
    B,
    /// The third.
    C,
}

impl Actor {
    /// All actors.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A file of the program, by its place in [`Program::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u8);

impl FileId {
    /// Its letter.
    pub fn letter(self) -> char {
        char::from(b'a' + self.0)
    }

    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

/// How much of a file an actor maps to get at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapSize {
    /// 64 KiB: the kernel maps single pages.
    Part,
    /// The whole file: the kernel may map 2 MiB at a time.
    Whole,
}

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A worker in the guest.
    Actor(Actor),
    /// The host, on the shared file.
    Host,
}

/// What is done in a step. Offsets and lengths are pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields whose names say it all")]
pub enum Act {
    /// A load, which is compared. The actor maps the page if it has not.
    Load { file: FileId, page: u64 },
    /// A store of the byte that is there.
    Store { file: FileId, page: u64 },
    /// Takes a pin. An actor has at most one.
    Pin { file: FileId, page: u64, pin: Pin },
    /// Ends the actor's pin.
    Release,
    /// truncate(2).
    Truncate { file: FileId, pages: u64 },
    /// open(2) with O_TRUNC.
    OpenTruncate { file: FileId },
    /// fallocate(2).
    Range {
        file: FileId,
        mode: RangeMode,
        page: u64,
        count: u64,
    },
    /// copy_file_range(2) from the same place of another file.
    Copy {
        file: FileId,
        from: FileId,
        page: u64,
        count: u64,
    },
    /// pwrite(2) of a new pattern, and fsync(2).
    Write { file: FileId, page: u64, count: u64 },
    /// pread(2) of the first page of each of some ranges of 2 MiB.
    Sweep {
        file: FileId,
        range: u64,
        count: u64,
    },
    /// fsync(2).
    Sync { file: FileId },
    /// Opens the file anew, and then closes the old descriptor, if the actor has one.
    Reopen { file: FileId },
    /// Closes the actor's descriptor.
    Close { file: FileId },
    /// Drops the actor's mappings of the file.
    Unmap { file: FileId },
    /// unlink(2).
    Unlink { file: FileId },
    /// rename(2) of another file over it.
    RenameOver { file: FileId, from: FileId },
    /// stat(2), whose size is compared.
    Stat { file: FileId },
    /// Drops clean caches and unused inodes.
    DropCaches,
    /// A child process that has the actor's mappings, too.
    Fork,
    /// The end of the child.
    Reap,
    /// The actor is killed, and begins anew with no file open.
    Exit,
    /// SIGSTOP and SIGCONT, which interrupt a wait.
    Nudge,
}

impl Act {
    /// Its word in a program's text.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Load { .. } => "load",
            Self::Store { .. } => "store",
            Self::Pin { .. } => "pin",
            Self::Release => "release",
            Self::Truncate { .. } => "truncate",
            Self::OpenTruncate { .. } => "o-trunc",
            Self::Range { mode, .. } => match mode {
                RangeMode::Reserve => "reserve",
                RangeMode::Punch => "punch",
                RangeMode::Zero => "zero",
                RangeMode::Collapse => "collapse",
                RangeMode::Insert => "insert",
            },
            Self::Copy { .. } => "copy",
            Self::Write { .. } => "write",
            Self::Sweep { .. } => "sweep",
            Self::Sync { .. } => "sync",
            Self::Reopen { .. } => "reopen",
            Self::Close { .. } => "close",
            Self::Unmap { .. } => "unmap",
            Self::Unlink { .. } => "unlink",
            Self::RenameOver { .. } => "rename-over",
            Self::Stat { .. } => "stat",
            Self::DropCaches => "drop-caches",
            Self::Fork => "fork",
            Self::Reap => "reap",
            Self::Exit => "exit",
            Self::Nudge => "nudge",
        }
    }

    /// The file that it is about.
    pub fn file(self) -> Option<FileId> {
        match self {
            Self::Load { file, .. }
            | Self::Store { file, .. }
            | Self::Pin { file, .. }
            | Self::Truncate { file, .. }
            | Self::OpenTruncate { file }
            | Self::Range { file, .. }
            | Self::Copy { file, .. }
            | Self::Write { file, .. }
            | Self::Sweep { file, .. }
            | Self::Sync { file }
            | Self::Reopen { file }
            | Self::Close { file }
            | Self::Unmap { file }
            | Self::Unlink { file }
            | Self::RenameOver { file, .. }
            | Self::Stat { file } => Some(file),
            Self::Release
            | Self::DropCaches
            | Self::Fork
            | Self::Reap
            | Self::Exit
            | Self::Nudge => None,
        }
    }
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who takes it.
    pub who: Who,
    /// What is done.
    pub act: Act,
}

/// A program. Each actor has all files open when it begins, and none mapped. When it ends, pins that
/// are held are released, in the order of the actors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where its files are.
    pub fs: FileSystem,
    /// The files' lengths, in ranges of 2 MiB.
    pub files: Vec<u64>,
    /// How files are mapped.
    pub maps: MapSize,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Program {
    /// The same program with other steps.
    #[must_use]
    pub fn with_steps(&self, steps: Vec<Step>) -> Self {
        Self {
            steps,
            ..self.clone()
        }
    }
}
