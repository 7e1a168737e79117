// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The rules of a VMM's behaviour.

use std::time::Duration;

use super::table::Mapping;

/// When SHMEM_MAP and SHMEM_UNMAP are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Before the guest sees the effect. The next request is served after the effect.
    BeforeEffect,
    /// After the guest sees the effect.
    AfterEffect,
}

/// How a SHMEM_MAP over a live mapping is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The request is refused.
    Refuse,
    /// The new mapping replaces the live one.
    Replace,
}

/// Which ranges SHMEM_UNMAP accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmap {
    /// Exactly the range of one SHMEM_MAP.
    Exact,
    /// Any range. Mappings inside it are removed, and others are cut.
    Any,
}

/// Whether a mapping may reach beyond the end of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeCheck {
    /// The mapping is refused.
    Refuse,
    /// The mapping is made.
    Ignore,
}

/// What happens to a file of size 0 (by `lseek`) that is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyFile {
    /// The file grows to the end of the mapping.
    Grow,
    /// The file stays as it is, and [`SizeCheck`] decides.
    Leave,
}

/// The result of a SHMEM_MAP without the writable flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// A writable mapping. It fails if the descriptor is not open for writing.
    MapWritable,
    /// A read-only mapping.
    Enforce,
}

/// What happens if there are more memory regions than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLimit {
    /// The VM ends: both connections are closed.
    Abort,
    /// The mapping is refused.
    Refuse,
}

/// Which mappings the daemon is told of as memory regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Each mapping: it is a region of the machine's memory.
    Each,
    /// A mapping at the window's beginning that a daemon can map, so that it learns the window's
    /// address.
    Beginning,
    /// No mapping.
    Nothing,
}

impl Told {
    pub(crate) fn has(self, mapping: &Mapping) -> bool {
        match self {
            Self::Each => true,
            Self::Nothing => false,
            Self::Beginning => {
                // The size comes last: the kernel may have to ask a view's server for it.
                let size = || mapping.file.metadata().map_or(0, |file| file.len());
                let end = mapping.from.0 + mapping.len;
                mapping.at.0 == 0 && mapping.writable && end <= size()
            }
        }
    }
}

/// The thread that serves the back-end channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainLoop {
    /// The thread that also makes the front end's requests. While it waits for a reply of the
    /// daemon, it answers no request.
    Shared,
    /// A thread of its own.
    Separate,
}

/// The VMM's behaviour. The rules are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// When requests are answered.
    pub acknowledge: Acknowledge,
    /// The delay between acknowledgement and effect, or of the preparation before the
    /// acknowledgement.
    pub effect_takes: Duration,
    /// Whether mappings may overlap.
    pub overlap: Overlap,
    /// Which ranges can be unmapped.
    pub unmap: Unmap,
    /// Whether the file has to cover the mapping.
    pub size_check: SizeCheck,
    /// What happens to a file of size 0.
    pub empty_file: EmptyFile,
    /// Whether a mapping for reading is read-only.
    pub read_only: ReadOnly,
    /// The limit of memory regions, memory and mappings together.
    pub regions: usize,
    /// What happens beyond the limit.
    pub beyond_limit: BeyondLimit,
    /// Which mappings the daemon is told of, by ADD_MEM_REG and REM_MEM_REG or by a new table.
    pub told: Told,
    /// The thread that serves the channel.
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

    /// A QEMU whose window is one memory region. A mapping is no region of its own, and files are
    /// mapped directly (qemu/patches/qemu).
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

    /// The strictest VMM: effects come late, files stay as they are, and mappings for reading are
    /// read-only.
    pub const fn strict() -> Self {
        Self {
            effect_takes: Duration::from_millis(2),
            empty_file: EmptyFile::Leave,
            read_only: ReadOnly::Enforce,
            ..Self::qemu()
        }
    }

    /// The cheapest VMM: it accepts all that can be mapped.
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
