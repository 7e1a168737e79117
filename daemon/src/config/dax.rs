// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which files the guest is told to use through the window.

/// What `--dax` says about regular files that could be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DaxMode {
    /// Every file that can be mapped, of any size.
    Always,
    /// Files of at least --dax-min-size bytes without an execute permission.
    Inode,
    /// No file; no window is offered either.
    Never,
}

/// What `--host-truncate` says of other processes of the host, for files that are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HostTruncate {
    /// They may take mapped pages away.
    Allow,
    /// They get ETXTBSY.
    Refuse,
}

/// The operator's choice of files for the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaxPolicy {
    /// Which files are candidates.
    pub mode: DaxMode,
    /// Smallest file, in bytes, that [`DaxMode::Inode`] names (`--dax-min-size`).
    pub min_size: u64,
}

impl DaxPolicy {
    /// Default of `--dax-min-size`, in bytes. A smaller file costs a range of 2 MiB and one
    /// `SHMEM_MAP` for pages that one or two `FUSE_READ`s would have brought; measured on a source
    /// tree, 128 KiB is the largest bound that makes it slower (tests/reclaim/docs/source-tree.md).
    pub const DEFAULT_MIN_SIZE: u64 = 256 * 1024;

    /// Whether the policy names a regular file of `size` bytes, which is `executable` by some user
    /// or by none.
    ///
    /// This is the operator's choice alone; whether the file can be mapped is decided elsewhere.
    /// [`DaxMode::Inode`] excludes programs because a mapped file is open for writing, and Linux
    /// refuses to execute such a file: a guest's mere look at a directory of programs must not keep
    /// the host from running them.
    #[must_use]
    pub fn names(&self, size: u64, executable: bool) -> bool {
        match self.mode {
            DaxMode::Always => true,
            DaxMode::Inode => size >= self.min_size && !executable,
            DaxMode::Never => false,
        }
    }
}

impl Default for DaxPolicy {
    fn default() -> Self {
        Self {
            mode: DaxMode::Inode,
            min_size: Self::DEFAULT_MIN_SIZE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DaxMode, DaxPolicy};

    #[test]
    fn each_mode_names_the_files_it_promises() {
        let table = [
            (DaxMode::Always, 0, false, true),
            (DaxMode::Always, 4096, true, true),
            (DaxMode::Inode, 4095, false, false),
            (DaxMode::Inode, 4096, false, true),
            (DaxMode::Inode, 4096, true, false),
            (DaxMode::Inode, u64::MAX, false, true),
            (DaxMode::Never, u64::MAX, false, false),
        ];
        for (mode, size, executable, named) in table {
            let policy = DaxPolicy {
                mode,
                min_size: 4096,
            };
            assert_eq!(
                policy.names(size, executable),
                named,
                "{mode:?}, {size} bytes, executable: {executable}"
            );
        }
    }
}
