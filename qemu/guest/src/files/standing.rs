// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system that a file is on. After a failed mount a case would run on the initramfs, where
//! nothing ever waits and every result looks like a kernel bug.

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// STATX_ATTR_DAX of statx(2): this very file is accessed by DAX now.
const STATX_ATTR_DAX: u64 = 0x0020_0000;

/// Finds the file system of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Where {
    pub path: String,
}

/// A file's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The type of its file system.
    pub fstype: String,
    /// Its line of /proc/self/mountinfo.
    pub mount: String,
    /// Whether it is accessed by DAX.
    pub dax: bool,
    /// Its inode number.
    pub inode: u64,
}

impl Op for Where {
    const NAME: &'static str = "where";
    type Yield = Standing;

    fn run(self, _: &mut HandleTable) -> Result<Standing, Fault> {
        let failed = || format!("looking where {} is", self.path);
        let seen = statx(
            CWD,
            self.path.as_str(),
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::BASIC_STATS,
        );
        let seen = seen.map_err(Fault::of(failed()))?;
        let table = fs::read_to_string("/proc/self/mountinfo").map_err(Fault::of(failed()))?;
        let (fstype, mount) = mount_of(&table, Path::new(&self.path))
            .ok_or_else(|| Fault::new(failed(), "no mount holds it"))?;
        Ok(Standing {
            fstype: fstype.to_owned(),
            mount: mount.to_owned(),
            dax: seen.stx_attributes.bits() & STATX_ATTR_DAX != 0,
            inode: seen.stx_ino,
        })
    }
}

/// Type and line of the mount that holds `path`: the deepest mount above it, and the last one
/// mounted there.
fn mount_of<'t>(table: &'t str, path: &Path) -> Option<(&'t str, &'t str)> {
    let holds = |line: &&'t str| {
        let point = line.split(' ').nth(4);
        point.is_some_and(|point| path.starts_with(point))
    };
    let depth = |line: &&str| line.split(' ').nth(4).map(str::len);
    let line = table.lines().filter(holds).max_by_key(depth)?;
    let (_, super_block) = line.split_once(" - ")?;
    Some((super_block.split(' ').next()?, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_counts() {
        let table = "1 0 0:1 / / rw - rootfs rootfs rw\n\
                     2 1 0:2 / /mnt/a rw - ext4 /dev/pmem0 rw,dax=always\n\
                     3 1 0:3 / /mnt/ab rw - tmpfs t rw\n\
                     4 1 0:4 / /mnt/a rw - xfs /dev/pmem1 rw\n";
        let found = |path| mount_of(table, Path::new(path)).unwrap().0;
        assert_eq!(found("/mnt/a/f"), "xfs");
        assert_eq!(found("/mnt/ab/f"), "tmpfs");
        assert_eq!(found("/mnt/f"), "rootfs");
    }
}
