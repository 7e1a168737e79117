// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared directory. It is made anew if an input has changed it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::canary::Stamp;

/// All names in the share. A name that appears or vanishes changes its directory.
const FILES: [&str; 16] = [
    "",
    "dir",
    "dir/sub",
    "file",
    "large",
    "empty",
    "dir/file",
    "link",
    "up",
    "away",
    "magic",
    "fifo",
    "device",
    "program",
    "secret",
    "dir/sub/hard",
];

/// See the module's documentation.
pub(super) struct Share {
    path: PathBuf,
    stamps: Vec<Option<Stamp>>,
}

impl Share {
    pub(super) fn create(path: &Path) -> Self {
        let mut share = Self {
            path: path.to_owned(),
            stamps: Vec::new(),
        };
        fs::create_dir(path).expect("a directory");
        share.fill();
        share
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Restores the first state.
    pub(super) fn restore(&mut self) {
        if self.look() == self.stamps {
            return;
        }
        for entry in fs::read_dir(&self.path).expect("the share") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_dir() {
                fs::remove_dir_all(entry.path()).expect("a directory that can be removed");
            } else {
                fs::remove_file(entry.path()).expect("a file that can be removed");
            }
        }
        self.fill();
    }

    fn look(&self) -> Vec<Option<Stamp>> {
        FILES
            .iter()
            .map(|name| Stamp::of(&self.path.join(name)))
            .collect()
    }

    fn fill(&mut self) {
        let at = |name: &str| self.path.join(name);
        let mode = |name: &str, mode| {
            fs::set_permissions(at(name), Permissions::from_mode(mode)).expect("chmod");
        };
        mode("", 0o755);
        rustix::fs::chown(
            &self.path,
            Some(rustix::fs::Uid::ROOT),
            Some(rustix::fs::Gid::ROOT),
        )
        .expect("chown");
        for name in rustix_names(&self.path) {
            let _ = rustix::fs::removexattr(&self.path, name);
        }
        fs::create_dir(at("dir")).expect("a directory");
        fs::create_dir(at("dir/sub")).expect("a directory");
        let text: Vec<u8> = (0..8192_u32).map(|at| at as u8).collect();
        for (name, content) in [("file", &text[..]), ("empty", b""), ("dir/file", b"text")] {
            fs::write(at(name), content).expect("a file");
        }
        let large = fs::File::create(at("large")).expect("a file");
        large.set_len(4 << 20).expect("a size");
        for (name, bits) in [("program", 0o4755), ("secret", 0)] {
            fs::write(at(name), "#!/bin/sh\n").expect("a file");
            mode(name, bits);
        }
        fs::hard_link(at("dir/file"), at("dir/sub/hard")).expect("a link");
        for (name, target) in [
            ("link", "file"),
            ("up", "../outside/secret"),
            ("away", "/outside"),
            ("magic", "/proc/self/root"),
        ] {
            symlink(target, at(name)).expect("a link");
        }
        let node = |name, kind, device| {
            rustix::fs::mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o666), device)
                .expect("a node");
        };
        node("fifo", FileType::Fifo, 0);
        // /dev/null
        node(
            "device",
            FileType::CharacterDevice,
            rustix::fs::makedev(1, 3),
        );
        // Not every tmpfs supports user attributes.
        let _ = rustix::fs::setxattr(at("file"), "user.name", b"value", XattrFlags::empty());
        self.stamps = self.look();
    }
}

/// The attributes of the share itself, which an input may have set.
fn rustix_names(path: &Path) -> Vec<String> {
    let mut names = vec![0; 4096];
    let len = rustix::fs::listxattr(path, &mut names).unwrap_or(0);
    names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}
