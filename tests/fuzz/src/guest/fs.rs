// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system of the device: virtiofsd's own, on this thread's fixture.

use std::time::Duration;

use virtiofsd::passthrough::xattrmap::XattrMap;
use virtiofsd::passthrough::{
    CachePolicy, Config, InodeFileHandlesMode, NegotiationMode, PassthroughFs,
};

use crate::fixture::Fixture;

crate::operations! {
    /// The daemon's options, one bit each.
    pub struct Options {
        /// Options about attributes.
        attributes: u8,
        /// Options about files.
        files: u8,
    }
}

impl Options {
    /// The daemon's settings without options.
    pub const DEFAULT: Self = Self {
        attributes: 0,
        files: 0,
    };

    fn attribute(&self, bit: u8) -> bool {
        self.attributes & 1 << bit != 0
    }

    fn file(&self, bit: u8) -> bool {
        self.files & 1 << bit != 0
    }

    /// Whether there is a window.
    pub fn window(&self) -> bool {
        !self.file(7)
    }

    /// Whether a migration tracks changes.
    pub fn logging(&self) -> bool {
        self.attribute(7)
    }

    /// The file system. Its root is `/` once the thread is in its chroot.
    ///
    /// # Panics
    /// If no file system can be made with these options.
    pub fn file_system(&self, fixture: &Fixture) -> PassthroughFs {
        let negotiated = |bit| match self.attribute(bit) {
            true => NegotiationMode::Auto,
            false => NegotiationMode::Never,
        };
        let translated = self
            .attribute(4)
            .then(|| vec!["map:0:100000:65536".parse().expect("a map")]);
        let mapped = self
            .attribute(3)
            .then(|| XattrMap::try_from(":map::user.virtiofs.:").expect("a map"));
        let timeout = Duration::from_secs(1);
        let handles = match self.file(3) {
            true => InodeFileHandlesMode::Prefer,
            false => InodeFileHandlesMode::Never,
        };
        let config = Config {
            entry_timeout: timeout,
            attr_timeout: timeout,
            cache_policy: match self.files & 3 {
                0 => CachePolicy::Auto,
                1 => CachePolicy::Always,
                2 => CachePolicy::Never,
                _ => CachePolicy::Metadata,
            },
            writeback: self.file(2),
            root_dir: "/".to_owned(),
            mountinfo_prefix: fixture.share_path().to_str().map(str::to_owned),
            xattr: self.attribute(0),
            xattrmap: mapped,
            proc_sfd_rawfd: Some(fixture.proc_self_fd()),
            proc_mountinfo_rawfd: Some(fixture.mountinfo()),
            announce_submounts: self.file(4),
            inode_file_handles: handles,
            readdirplus: true,
            allow_direct_io: self.file(5),
            killpriv_v2: self.attribute(5),
            posix_acl: negotiated(1),
            security_label: negotiated(2),
            clean_noatime: !self.file(6),
            allow_mmap: self.attribute(6),
            uid_map: translated.clone(),
            gid_map: translated,
            ..Config::default()
        };
        PassthroughFs::new(config).expect("a file system")
    }
}
