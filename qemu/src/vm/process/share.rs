// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A share, and the daemon's command line for it.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use crate::vm::machine::{ByteSize, CommandLine, ShareDevice, ShareKind, Tag};

/// The daemon's cache policy (`--cache`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// The guest looks again after a while.
    Auto,
    /// The guest trusts what it has.
    Always,
    /// The guest keeps metadata only.
    Metadata,
    /// The guest keeps nothing.
    Never,
}

/// Which files the guest maps through the window (`--dax`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dax {
    /// Every file that can be mapped.
    Always,
    /// Files of at least a certain size.
    Inode,
    /// None.
    Never,
}

/// How the daemon confines itself (`--sandbox`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// In its own namespaces.
    Namespace,
    /// In a chroot.
    Chroot,
    /// Not at all.
    None,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ }) => {
        impl $type {
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
words!(Cache { Auto => "auto", Always => "always", Metadata => "metadata", Never => "never" });
words!(Dax { Always => "always", Inode => "inode", Never => "never" });
words!(Sandbox { Namespace => "namespace", Chroot => "chroot", None => "none" });

/// A shared folder. [`Share::new`] gives the usual values.
#[derive(Debug, Clone)]
pub struct Share {
    /// The folder.
    pub dir: PathBuf,
    /// The name by which the guest mounts it.
    pub tag: Tag,
    /// Size of the window, or `None` for a share without one.
    pub window: Option<ByteSize>,
    /// Which files use the window.
    pub dax: Dax,
    /// The cache policy.
    pub cache: Cache,
    /// The daemon's confinement.
    pub sandbox: Sandbox,
    /// Whether the guest may change nothing.
    pub read_only: bool,
    /// Request queues.
    pub queues: NonZeroU16,
    /// The virtiofsd that serves it in place of this project's daemon, to compare the two. It has
    /// no window and one queue.
    pub peer: Option<PathBuf>,
    /// Whether the guest's QEMU waits for another daemon after this one has gone, if it can.
    pub reconnects: bool,
    /// Arguments passed to the daemon as they are, after all others.
    pub extra: Vec<OsString>,
}

impl Share {
    /// The folder `dir`, read-write and without a window, its daemon in the sandbox.
    pub fn new(dir: impl Into<PathBuf>, tag: Tag) -> Self {
        Self {
            dir: dir.into(),
            tag,
            window: None,
            dax: Dax::Inode,
            cache: Cache::Auto,
            sandbox: Sandbox::Namespace,
            read_only: false,
            queues: NonZeroU16::MIN,
            peer: None,
            reconnects: false,
            extra: Vec::new(),
        }
    }

    /// Adds a window of `size` for every file that can be mapped.
    pub fn with_window(self, size: ByteSize) -> Self {
        Self {
            window: Some(size),
            dax: Dax::Always,
            ..self
        }
    }

    /// Serves the share by the virtiofsd at `peer`.
    pub fn with_peer(self, peer: &Path) -> Self {
        Self {
            window: None,
            queues: NonZeroU16::MIN,
            peer: Some(peer.to_owned()),
            ..self
        }
    }

    /// The command line of a daemon that serves this share on `socket`; `program` is this
    /// project's.
    pub fn daemon(&self, program: &Path, socket: &Path) -> CommandLine {
        let mut line = CommandLine::new(self.peer.as_deref().unwrap_or(program))
            .arg("--socket-path")
            .arg(socket)
            .arg("--shared-dir")
            .arg(&self.dir)
            .args(["--tag", self.tag.as_str()])
            .args(["--cache", self.cache.word()])
            .args(["--sandbox", self.sandbox.word()]);
        line = match self.window {
            Some(window) => line
                .args(["--dax-window", &window.to_string()])
                .args(["--dax", self.dax.word()]),
            // virtiofsd doesn't know the option.
            None if self.peer.is_some() => line,
            None => line.args(["--dax-window", "0"]),
        };
        if self.read_only {
            line = line.arg("--readonly");
        }
        if self.queues > NonZeroU16::MIN {
            line = line.args(["--request-queues", &self.queues.to_string()]);
        }
        line.args(&self.extra)
    }

    /// QEMU's device for this share: the one that can carry a window, if the share has one.
    pub fn device(&self, socket: &Path) -> ShareDevice {
        ShareDevice {
            tag: self.tag.clone(),
            socket: socket.to_owned(),
            queues: self.queues,
            reconnects: self.reconnects,
            kind: match self.window {
                Some(_) => ShareKind::Window,
                None => ShareKind::Plain,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_all_that_differs_from_the_defaults() {
        let line = |share: &Share| {
            let line = share.daemon("/bin/daemon".as_ref(), "/run/s".as_ref());
            line.to_string()
        };
        let plain = Share::new("/srv/a b", "tag".parse().unwrap());
        assert_eq!(
            line(&plain),
            "/bin/daemon --socket-path /run/s --shared-dir '/srv/a b' --tag tag --cache auto \
             --sandbox namespace --dax-window 0"
        );
        let full = Share {
            cache: Cache::Never,
            sandbox: Sandbox::Chroot,
            read_only: true,
            queues: NonZeroU16::new(2).unwrap(),
            extra: vec!["--xattr".into()],
            ..plain.clone().with_window(ByteSize::mib(16))
        };
        assert_eq!(
            line(&full),
            "/bin/daemon --socket-path /run/s --shared-dir '/srv/a b' --tag tag --cache never \
             --sandbox chroot --dax-window 16M --dax always --readonly --request-queues 2 --xattr"
        );
        assert_eq!(
            line(&full.with_peer("/bin/virtiofsd".as_ref())),
            "/bin/virtiofsd --socket-path /run/s --shared-dir '/srv/a b' --tag tag --cache never \
             --sandbox chroot --readonly --xattr"
        );
    }

    #[test]
    fn the_device_can_carry_a_window_where_there_is_one() {
        let plain = Share::new("/srv", "tag".parse().unwrap());
        let kind = |share: &Share| share.device("/run/s".as_ref()).kind;
        assert_eq!(kind(&plain), ShareKind::Plain);
        assert_eq!(
            kind(&plain.with_window(ByteSize::mib(16))),
            ShareKind::Window
        );
    }
}
