// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's mounts that a daemon may have made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The host's mounts at one moment, one line of the kernel's table each.
#[derive(Clone, Debug, Default)]
pub struct Mounts(BTreeSet<String>);

impl Mounts {
    /// The current mounts.
    pub fn now() -> Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo");
        Ok(Self::of(&table.context("can't read the mount table")?))
    }

    fn of(table: &str) -> Self {
        Self(table.lines().map(str::to_owned).collect())
    }

    /// The mounts that are new since `before` and are FUSE file systems or name `dir`. Other
    /// processes may make other mounts meanwhile.
    pub fn come_since(&self, before: &Self, dir: &Path) -> Vec<String> {
        let dir = dir.display().to_string();
        let ours = |line: &&String| is_fuse(line) || line.contains(&dir);
        self.0.difference(&before.0).filter(ours).cloned().collect()
    }
}

/// The type is the first field after the dash (proc(5)).
fn is_fuse(line: &str) -> bool {
    let fields = line.split_once(" - ").map(|(_, fields)| fields);
    fields.is_some_and(|fields| fields.starts_with("fuse"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_fuse_mount_and_one_on_the_folder_are_found() {
        const OLD: &str = "21 1 0:20 / /proc rw - proc proc rw\n22 1 0:9 / /old rw - fuse x rw\n";
        let before = Mounts::of(OLD);
        let now = |line: &str| Mounts::of(&format!("{OLD}{line}\n"));
        let found = |line: &str| now(line).come_since(&before, Path::new("/run/dir"));
        for ours in [
            "30 1 0:50 / /mnt rw shared:1 - fuse x rw",
            "31 1 0:51 / /mnt rw - fuse.views x rw",
            "32 1 8:1 /run/dir /mnt rw - ext4 /dev/sda rw",
            "33 1 0:52 / /run/dir/root rw - tmpfs tmpfs rw",
        ] {
            assert_eq!(found(ours), [ours]);
        }
        assert!(found("34 1 0:53 / /elsewhere rw - tmpfs tmpfs rw").is_empty());
        assert!(before.come_since(&before, Path::new("/run/dir")).is_empty());
    }
}
