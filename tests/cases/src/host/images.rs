// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Images with fresh ext4 and xfs file systems, made once for each run by the distribution's tools.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use qemu_guest::vm::machine::{ByteSize, Pmem};

use super::FileSystem;

/// Size of each image: xfs wants 300 MiB at least, and persistent memory comes in units of 128 MiB.
const SIZE: ByteSize = ByteSize::mib(384);

const EXT4: [&str; 6] = ["-q", "-F", "-b", "4096", "-m", "0"];
const XFS: [&str; 4] = ["-q", "-f", "-m", "reflink=1"];
/// Permits XFS_IOC_EXCHANGE_RANGE (XFS_SB_FEAT_INCOMPAT_EXCHRANGE, 1 << 6), beside what mkfs.xfs has set.
/// mkfs.xfs itself can do this from xfsprogs 6.10 on.
const EXCHANGE: &str = "write -d features_incompat 0x4b";
/// What mkfs.xfs sets without that: file types in directories, sparse inodes, large timestamps.
const WITHOUT_EXCHANGE: &str = "features_incompat = 0xb";

/// Errors of making an image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ImageError {
    /// The file could not be made.
    #[error("can't make the image {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    /// The tool is missing.
    #[error("{tool} is missing: apt-get install {package}")]
    NoTool {
        tool: &'static str,
        package: &'static str,
    },
    /// The tool failed.
    #[error("{tool} failed on {}: {said}", path.display())]
    Tool {
        tool: &'static str,
        path: PathBuf,
        said: String,
    },
}

/// The images of one guest.
pub struct Images {
    /// In the order of the guest's devices.
    pub(super) pmem: Vec<Pmem>,
    /// Whether xfs has exchanges of ranges.
    pub(super) exchange: bool,
}

impl Images {
    /// Makes the images in a folder. They are sparse. With `exchange`, xfs gets exchanges of ranges, if
    /// this host's tools can do that; a kernel before 6.10 mounts no such file system.
    ///
    /// # Errors
    ///
    /// If a tool is missing or fails.
    pub fn make(dir: &Path, exchange: bool) -> Result<Self, ImageError> {
        let image = |fs: FileSystem| pmem_image(&dir.join(format!("{fs}.img")), fs, SIZE);
        let pmem = [image(FileSystem::Ext4)?, image(FileSystem::Xfs)?];
        let exchange = exchange && permit_exchange(&pmem[1].image);
        Ok(Self {
            pmem: pmem.into(),
            exchange,
        })
    }
}

/// Permits exchanges of ranges in an xfs whose other features are the known ones.
fn permit_exchange(image: &Path) -> bool {
    let said = |command: &str| {
        let mut database = Command::new("xfs_db");
        database
            .args(["-x", "-c", "sb 0", "-c", command])
            .arg(image);
        let said = database.output().ok()?;
        Some(String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let has = |said: Option<String>, text| said.is_some_and(|said| said.trim().ends_with(text));
    has(said("print features_incompat"), WITHOUT_EXCHANGE)
        && has(said(EXCHANGE), "features_incompat = 0x4b")
}

/// Makes a sparse image with a fresh ext4 or xfs, for persistent memory.
///
/// # Errors
///
/// If the tool is missing or fails.
///
/// # Panics
///
/// For virtio-fs, which is in no image.
pub fn pmem_image(path: &Path, fs: FileSystem, size: ByteSize) -> Result<Pmem, ImageError> {
    match fs {
        FileSystem::Ext4 => made("mkfs.ext4", "e2fsprogs", &EXT4.map(OsStr::new), path, size),
        FileSystem::Xfs => made("mkfs.xfs", "xfsprogs", &XFS.map(OsStr::new), path, size),
        FileSystem::Fuse => unreachable!("a share is in no image"),
    }
}

/// Makes an ext4 image with the content of a folder.
///
/// # Errors
///
/// If the tool is missing or fails.
pub fn pmem_image_of(path: &Path, folder: &Path, size: ByteSize) -> Result<Pmem, ImageError> {
    let mut options = EXT4.map(OsStr::new).to_vec();
    options.extend(["-d".as_ref(), folder.as_os_str()]);
    made("mkfs.ext4", "e2fsprogs", &options, path, size)
}

fn made(
    tool: &'static str,
    package: &'static str,
    options: &[&OsStr],
    path: &Path,
    size: ByteSize,
) -> Result<Pmem, ImageError> {
    let path = path.to_owned();
    let made = File::create(&path).and_then(|file| file.set_len(size.bytes()));
    made.map_err(|source| ImageError::Create {
        path: path.clone(),
        source,
    })?;
    let output = Command::new(tool).args(options).arg(&path).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ImageError::NoTool { tool, package },
        _ => ImageError::Create {
            path: path.clone(),
            source: error,
        },
    })?;
    if !output.status.success() {
        return Err(ImageError::Tool {
            tool,
            path,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(Pmem { image: path, size })
}
