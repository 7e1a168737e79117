// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A tree of files in memory, and its form as a newc archive, which the kernel unpacks
//! (Linux' Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Invariants: a folder comes before what is in it, and the bytes depend on the tree alone: no
//! times, owners or inode numbers of the host get in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use cpio::newc::{Builder, ModeFileType};
use sha2::{Digest, Sha256};

use super::path::GuestPath;
use crate::artifacts::manifest::sha256;

/// The files of a guest, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<GuestPath, Node>);

/// One file, folder, link or device.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Folder {
        mode: u32,
    },
    /// Contents in memory.
    Bytes {
        mode: u32,
        bytes: Vec<u8>,
    },
    /// Contents of a file of the host.
    Host {
        mode: u32,
        path: PathBuf,
    },
    /// A symbolic link.
    Link {
        target: String,
    },
    /// A character device.
    Device {
        mode: u32,
        major: u32,
        minor: u32,
    },
}

impl Tree {
    /// Adds a node, and the folders on the way to it; what was there before is replaced.
    pub(super) fn insert(&mut self, path: GuestPath, node: Node) {
        self.insert_parents(&path);
        self.0.insert(path, node);
    }

    /// Like [`Tree::insert`], but keeps what was there before.
    pub(super) fn insert_new(&mut self, path: GuestPath, node: Node) {
        self.insert_parents(&path);
        self.0.entry(path).or_insert(node);
    }

    fn insert_parents(&mut self, path: &GuestPath) {
        let mut next = path.parent();
        while let Some(folder) = next {
            next = folder.parent();
            self.0.entry(folder).or_insert(Node::Folder { mode: 0o755 });
        }
    }

    /// Feeds all that the archive depends on to `hash`.
    pub(super) fn digest(&self, hash: &mut Sha256) -> Result<(), (PathBuf, io::Error)> {
        for (path, node) in &self.0 {
            let what = match node {
                Node::Host { mode, path } => {
                    let digest = sha256(path).map_err(|error| (path.clone(), error))?;
                    format!("file {mode:o} {digest}")
                }
                Node::Bytes { mode, bytes } => format!("file {mode:o} {:x}", Sha256::digest(bytes)),
                other => format!("{other:?}"),
            };
            hash.update(format!("{path}\0{what}\0"));
        }
        Ok(())
    }

    /// Writes the archive.
    pub(super) fn write(&self, mut out: impl Write) -> io::Result<()> {
        // Folders and files get different inode numbers, so that none is taken for a hard link.
        for (number, (path, node)) in (1..).zip(&self.0) {
            out = node.write(Builder::new(path.relative()).ino(number), out)?;
        }
        cpio::newc::trailer(out)?.flush()
    }
}

impl Node {
    fn write<W: Write>(&self, entry: Builder, out: W) -> io::Result<W> {
        match self {
            Self::Folder { mode } => contents(
                entry
                    .mode(*mode)
                    .nlink(2)
                    .set_mode_file_type(ModeFileType::Directory),
                &[],
                out,
            ),
            Self::Bytes { mode, bytes } => contents(
                entry.mode(*mode).set_mode_file_type(ModeFileType::Regular),
                bytes,
                out,
            ),
            Self::Host { mode, path } => {
                let mut file = File::open(path)?;
                let size = size(file.metadata()?.len())?;
                let mut writer = entry
                    .mode(*mode)
                    .set_mode_file_type(ModeFileType::Regular)
                    .write(out, size);
                io::copy(&mut file, &mut writer)?;
                writer.finish()
            }
            Self::Link { target } => contents(
                entry.mode(0o777).set_mode_file_type(ModeFileType::Symlink),
                target.as_bytes(),
                out,
            ),
            Self::Device { mode, major, minor } => {
                let entry = entry.mode(*mode).rdev_major(*major).rdev_minor(*minor);
                contents(entry.set_mode_file_type(ModeFileType::Char), &[], out)
            }
        }
    }
}

fn contents<W: Write>(entry: Builder, bytes: &[u8], out: W) -> io::Result<W> {
    let mut writer = entry.write(out, size(bytes.len() as u64)?);
    writer.write_all(bytes)?;
    writer.finish()
}

/// The format has 32 bits for a size.
fn size(bytes: u64) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc::Reader;

    use super::*;

    fn path(path: &str) -> GuestPath {
        GuestPath::new(path).unwrap()
    }

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.insert(
            path("/bin/tool"),
            Node::Bytes {
                mode: 0o755,
                bytes: b"12345".to_vec(),
            },
        );
        tree.insert(
            path("/bin/sh"),
            Node::Link {
                target: "tool".to_owned(),
            },
        );
        tree.insert(
            path("/dev/null"),
            Node::Device {
                mode: 0o666,
                major: 1,
                minor: 3,
            },
        );
        tree.insert(path("/bin-a"), Node::Folder { mode: 0o1777 });
        tree
    }

    fn bytes(tree: &Tree) -> Vec<u8> {
        let mut bytes = Vec::new();
        tree.write(&mut bytes).unwrap();
        bytes
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Entry {
        name: String,
        mode: u32,
        device: (u32, u32),
        contents: Vec<u8>,
    }

    fn entry(name: &str, mode: u32, device: (u32, u32), contents: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            mode,
            device,
            contents: contents.into(),
        }
    }

    fn read(bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        loop {
            let mut reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return entries;
            }
            let head = reader.entry();
            let mut read = entry(
                head.name(),
                head.mode(),
                (head.rdev_major(), head.rdev_minor()),
                "",
            );
            reader.read_to_end(&mut read.contents).unwrap();
            entries.push(read);
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn the_archive_reads_back_with_folders_first() {
        let expected = [
            entry("bin", 0o040755, (0, 0), ""),
            entry("bin-a", 0o041777, (0, 0), ""),
            entry("bin/sh", 0o120777, (0, 0), "tool"),
            entry("bin/tool", 0o100755, (0, 0), "12345"),
            entry("dev", 0o040755, (0, 0), ""),
            entry("dev/null", 0o020666, (1, 3), ""),
        ];
        assert_eq!(read(&bytes(&sample())), expected);
    }

    #[test]
    fn a_file_of_the_host_counts_by_its_contents() {
        let host = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(host.path(), "12345").unwrap();
        let mut tree = sample();
        tree.insert(
            path("/bin/tool"),
            Node::Host {
                mode: 0o755,
                path: host.path().to_owned(),
            },
        );
        assert_eq!(bytes(&tree), bytes(&sample()));
        let digest = |tree: &Tree| {
            let mut hash = Sha256::new();
            tree.digest(&mut hash).unwrap();
            hash.finalize()
        };
        assert_eq!(digest(&tree), digest(&sample()));
        std::fs::write(host.path(), "12346").unwrap();
        assert_ne!(digest(&tree), digest(&sample()));
    }

    #[test]
    fn what_was_there_is_replaced_only_when_asked() {
        let mut tree = sample();
        tree.insert_new(
            path("/bin/sh"),
            Node::Link {
                target: "other".to_owned(),
            },
        );
        assert_eq!(bytes(&tree), bytes(&sample()));
        tree.insert(
            path("/bin/sh"),
            Node::Link {
                target: "other".to_owned(),
            },
        );
        assert_ne!(bytes(&tree), bytes(&sample()));
    }
}
