// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What QEMU has mapped of the shares, as the host's kernel reports it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{major, minor};
use tokio::time::{Instant, sleep};

use super::{Lab, Shared};

/// What Linux maps at a time.
const RANGE: u64 = 2 << 20;
/// How long QEMU may keep a mapping that the guest has dropped: QEMU unmaps memory in a thread that
/// first waits until no other thread can use it (RCU).
const UNMAPPED_DEADLINE: Duration = Duration::from_secs(60);
/// The kernel does not announce changes of a memory map, so the map is polled.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Lab<'_> {
    /// How many ranges of the shares' files QEMU has mapped, directly or as views. Bytes are
    /// counted, because the kernel merges neighbouring mappings of one file.
    pub fn mapped_ranges(&self) -> Result<u64> {
        let files = Files::of(self.shares().iter().map(Shared::folder))?;
        let pid = self.vm().guest().pid();
        let maps = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("maps"))?;
        let bytes: u64 = maps.lines().filter_map(|line| files.bytes(line)).sum();
        Ok(bytes.div_ceil(RANGE))
    }

    /// Waits until QEMU maps nothing of the shares.
    pub async fn expect_nothing_mapped(&self) -> Result<()> {
        let deadline = Instant::now() + UNMAPPED_DEADLINE;
        loop {
            let left = self.mapped_ranges()?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("QEMU has had {left} ranges mapped for {UNMAPPED_DEADLINE:?}");
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Files by their device and inode number, as `/proc/PID/maps` shows them. The paths there begin at
/// a root that only the daemon sees.
struct Files(BTreeSet<(String, u64)>);

impl Files {
    /// All files in these folders.
    fn of<'a>(folders: impl Iterator<Item = &'a Path>) -> Result<Self> {
        let mut found = BTreeSet::new();
        for folder in folders {
            collect(folder, &mut found)
                .with_context(|| format!("can't look through {}", folder.display()))?;
        }
        Ok(Self(found))
    }

    /// The length of the mapping in this line, if it maps one of the files or a view.
    fn bytes(&self, line: &str) -> Option<u64> {
        let mut fields = line.split_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let device = fields.nth(2)?;
        let inode = fields.next()?.parse().ok()?;
        let path = fields.next().unwrap_or_default();
        if !is_view(path) && !self.0.contains(&(device.to_owned(), inode)) {
            return None;
        }
        let address = |text| u64::from_str_radix(text, 16).ok();
        address(to)?.checked_sub(address(from)?)
    }
}

fn collect(folder: &Path, found: &mut BTreeSet<(String, u64)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(&entry.path(), found)?;
        } else if metadata.is_file() {
            let device = metadata.dev();
            let device = format!("{:02x}:{:02x}", major(device), minor(device));
            found.insert((device, metadata.ino()));
        }
    }
    Ok(())
}

/// Views are the only files of QEMU on a file system that is mounted nowhere: their paths begin at
/// the root of that file system, `/` and a number.
fn is_view(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use guest_agent::files::{MapKind, Mapping};

    use super::*;

    #[test]
    fn only_numbers_at_a_root_are_views() {
        let none = Files(BTreeSet::new());
        let bytes = |path: &str| {
            none.bytes(&format!(
                "7f0000000000-7f0000200000 rw-s 00000000 00:4a 17      {path}"
            ))
        };
        assert_eq!(bytes("/17"), Some(RANGE));
        for other in ["", "/", "/lib/x.so", "/17/x", "/x17", "[heap]"] {
            assert_eq!(bytes(other), None, "{other}");
        }
    }

    #[test]
    fn a_mapped_file_of_the_folder_is_found_by_any_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        let path = folder.path().join("below/file");
        fs::write(&path, [0; 8192]).unwrap();
        let file = fs::File::open(&path).unwrap();
        let mapping = Mapping::new(&file, 0, 8192, MapKind::ReadOnly).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let files = Files::of([folder.path()].into_iter()).unwrap();
        let found: u64 = maps.lines().filter_map(|line| files.bytes(line)).sum();
        assert_eq!(found, mapping.size() as u64);
    }
}
