// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How the VMM behaves.

use std::time::Duration;

use super::table::Mapping;

/// When SHMEM_MAP and SHMEM_UNMAP are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Before the guest sees the effect; the next request is served after that.
    BeforeEffect,
    /// Once the guest sees it.
    AfterEffect,
}

/// What a SHMEM_MAP over a live mapping does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is refused.
    Refuse,
    /// It takes the place of what is there.
    Replace,
}

/// Which ranges SHMEM_UNMAP takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmap {
    /// Exactly that of one SHMEM_MAP.
    Exact,
    /// Any; mappings that lie in it are removed, others are cut.
    Any,
}

/// Whether a mapping may go beyond the end of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeCheck {
    /// It is refused.
    Refuse,
    /// It is made.
    Ignore,
}

/// What a mapping of a file that has no size, by `lseek`, does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyFile {
    /// The file is made as large as the mapping needs.
    Grow,
    /// It stays as it is, and [`SizeCheck`] decides.
    Leave,
}

/// What a SHMEM_MAP without the writable flag gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// A writable mapping all the same, which fails for a descriptor that can't be written.
    MapWritable,
    /// A mapping that can be read only.
    Enforce,
}

/// What happens when there are more memory regions than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLimit {
    /// The VM is gone: both connections are closed.
    Abort,
    /// The mapping is refused.
    Refuse,
}

/// Of which mappings the daemon is told as of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Of each: it is a region of the machine's memory.
    Each,
    /// Of one at the window's beginning that a daemon can map, so that it learns where that is.
    Beginning,
    /// Of none.
    Nothing,
}

impl Told {
    pub(crate) fn has(self, mapping: &Mapping) -> bool {
        match self {
            Self::Each => true,
            Self::Nothing => false,
            Self::Beginning => {
                // The size last: the kernel may have to ask a view's server for it.
                let size = || mapping.file.metadata().map_or(0, |file| file.len());
                let end = mapping.from.0 + mapping.len;
                mapping.at.0 == 0 && mapping.writable && end <= size()
            }
        }
    }
}

/// Who serves the back-end channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainLoop {
    /// The thread that also makes the front end's requests: while it waits for the daemon's reply
    /// to one, it answers nothing.
    Shared,
    /// One of its own.
    Separate,
}

/// How the VMM behaves. Each rule is a switch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// When requests are answered.
    pub acknowledge: Acknowledge,
    /// How long the effect takes after the acknowledgement, or the acknowledgement's preparation.
    pub effect_takes: Duration,
    /// Whether mappings may overlap.
    pub overlap: Overlap,
    /// Which ranges can be unmapped.
    pub unmap: Unmap,
    /// Whether the file has to be as large as the mapping.
    pub size_check: SizeCheck,
    /// What happens to a file without a size.
    pub empty_file: EmptyFile,
    /// Whether a mapping for reading is one.
    pub read_only: ReadOnly,
    /// How many memory regions the VM may have, memory and mappings together.
    pub regions: usize,
    /// What happens beyond that.
    pub beyond_limit: BeyondLimit,
    /// Of which mappings the daemon is told by ADD_MEM_REG and REM_MEM_REG, or a new table.
    pub told: Told,
    /// Who serves the channel.
    pub main_loop: MainLoop,
}

impl Rules {
    /// QEMU 11.1.
    pub const fn qemu() -> Self {
        Self {
            acknowledge: Acknowledge::BeforeEffect,
            effect_takes: Duration::ZERO,
            overlap: Overlap::Refuse,
            unmap: Unmap::Exact,
            size_check: SizeCheck::Refuse,
            empty_file: EmptyFile::Grow,
            read_only: ReadOnly::MapWritable,
            regions: 512,
            beyond_limit: BeyondLimit::Abort,
            told: Told::Each,
            main_loop: MainLoop::Shared,
        }
    }

    /// A QEMU whose window is one memory region: a mapping is no region of its own, and files are
    /// mapped as they are (qemu/patches/qemu).
    pub const fn one_region() -> Self {
        Self {
            acknowledge: Acknowledge::AfterEffect,
            size_check: SizeCheck::Ignore,
            empty_file: EmptyFile::Leave,
            read_only: ReadOnly::Enforce,
            regions: usize::MAX,
            told: Told::Beginning,
            ..Self::qemu()
        }
    }

    /// A VMM that lets nothing pass: an effect that takes its time, files left alone, mappings for
    /// reading that are.
    pub const fn strict() -> Self {
        Self {
            effect_takes: Duration::from_millis(2),
            empty_file: EmptyFile::Leave,
            read_only: ReadOnly::Enforce,
            ..Self::qemu()
        }
    }

    /// A VMM that costs as little as can be and takes whatever can be mapped.
    pub const fn lenient() -> Self {
        Self {
            acknowledge: Acknowledge::AfterEffect,
            effect_takes: Duration::ZERO,
            overlap: Overlap::Replace,
            unmap: Unmap::Any,
            size_check: SizeCheck::Ignore,
            empty_file: EmptyFile::Leave,
            read_only: ReadOnly::Enforce,
            regions: usize::MAX,
            beyond_limit: BeyondLimit::Refuse,
            told: Told::Nothing,
            main_loop: MainLoop::Separate,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::qemu()
    }
}
