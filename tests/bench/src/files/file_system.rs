// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which file system a folder is on.

use std::{fs, path::Path};

/// Its type, as the mount table has it.
pub fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?.to_owned();
        folder
            .starts_with(&place)
            .then_some((place, fields.next()?.to_owned()))
    };
    // The longest is the nearest; of those at one place the last is on top.
    let found = mounts
        .lines()
        .filter_map(of_line)
        .max_by_key(|(place, _)| place.len());
    found.map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
        assert_ne!(file_system(Path::new("/")), "proc");
    }
}
