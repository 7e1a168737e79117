// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mount points below the share that virtiofsd's file system can't open.
//!
//! To open a file by its handle virtiofsd needs a descriptor of the mount. It takes the mount
//! point's path from `/proc/self/mountinfo` without decoding it, but the kernel writes a space, a
//! tab, a line feed and a backslash as `\040` and so on (proc_pid_mountinfo(5)). So LOOKUP of such
//! a mount point is ENOENT, and a listing of its parent ends there. Without file handles virtiofsd
//! opens no mount point.

use std::fs::File;
use std::io::{self, Read, Seek};

use log::{error, warn};
use virtiofsd::passthrough::{Config, InodeFileHandlesMode};

/// The field of a line that is the mount point.
const MOUNT_POINT: usize = 4;

/// Turns file handles off, if there is such a mount point and the command line allows it.
///
/// # Errors
/// If the mounts can't be read.
pub(super) fn avoid_misread(config: &mut Config, share: &str) -> io::Result<()> {
    if config.inode_file_handles == InodeFileHandlesMode::Never {
        return Ok(());
    }
    let mut mounts = String::new();
    match &mut config.proc_mountinfo_rawfd {
        Some(file) => {
            file.read_to_string(&mut mounts)?;
            file.rewind()?;
        }
        None => {
            File::open("/proc/self/mountinfo")?.read_to_string(&mut mounts)?;
        }
    }
    let Some(point) = misread(&mounts, share) else {
        return Ok(());
    };
    if config.inode_file_handles == InodeFileHandlesMode::Mandatory {
        error!(
            "the guest will not see {point:?}: a mount point with such a name can't be opened with \
             --inode-file-handles=mandatory"
        );
    } else {
        warn!(
            "--inode-file-handles=never is used, because of the mount point {point:?}: with file \
             handles it could not be opened"
        );
        config.inode_file_handles = InodeFileHandlesMode::Never;
    }
    Ok(())
}

/// The first mount point below `share` whose path is escaped in `mounts`.
fn misread(mounts: &str, share: &str) -> Option<String> {
    let below = format!("{}/", share.trim_end_matches('/'));
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(MOUNT_POINT));
    points
        .filter(|point| point.contains('\\'))
        .map(decode)
        .find(|point| point.starts_with(&below))
}

/// Replaces each backslash with three octal digits by the byte that they encode.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decode, misread};

    const MOUNTS: &str = "\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:40 / /srv/my\\040share rw - tmpfs none rw
31 30 0:41 / /srv/my\\040share/plain rw - tmpfs none rw
32 21 0:42 / /srv/other/a\\011b rw - tmpfs none rw
";

    #[test]
    fn only_mount_points_below_the_share_matter() {
        for (share, expected) in [
            ("/", Some("/srv/my share")),
            ("/srv/my share", Some("/srv/my share/plain")),
            ("/srv/other", Some("/srv/other/a\tb")),
            ("/srv/oth", None),
            ("/srv/other/a", None),
        ] {
            assert_eq!(misread(MOUNTS, share).as_deref(), expected, "{share}");
        }
    }

    #[test]
    fn all_that_the_kernel_writes_is_decoded() {
        assert_eq!(decode("/a\\040b\\011c\\012d\\134e"), "/a b\tc\nd\\e");
        assert_eq!(decode("/plain"), "/plain");
        assert_eq!(decode("/broken\\04"), "/broken\\04");
    }
}
