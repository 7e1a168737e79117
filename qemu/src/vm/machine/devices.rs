// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Devices whose content another process serves: the virtio-fs device of a share, with or without a
//! DAX window, and a block device.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use super::option::Opt;

/// The virtio device id of a virtio-fs device (virtio spec, "Device Types").
const VIRTIO_ID_FS: u32 = 26;
/// Bytes of `virtio_fs_config`: a 36-byte tag, le32 num_request_queues, le32 notify_buf_size.
const CONFIG_SIZE: usize = Tag::MAX_LEN + 4 + 4;
/// Entries of each queue.
const QUEUE_SIZE: u16 = 1024;
/// The notification queue is not offered, so one queue (high priority) precedes the request queues.
const HIGH_PRIORITY_QUEUES: u16 = 1;

/// The name by which a guest mounts a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

/// A text that can't be a tag.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` can't be a tag: it must have 1 to {max} bytes and no NUL", max = Tag::MAX_LEN)]
pub struct TagError(String);

impl Tag {
    /// Size of the tag field in the device's configuration.
    pub const MAX_LEN: usize = 36;

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LEN || text.contains('\0') {
            return Err(TagError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The QEMU device of the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareKind {
    /// `vhost-user-test-device-pci` posing as virtio-fs: the one device whose back end can offer
    /// shared memory to the guest. Tag and queue count come from the daemon.
    Window,
    /// `vhost-user-fs-pci`: no window. QEMU sets the tag.
    Plain,
}

/// One virtio-fs device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareDevice {
    /// The tag, by which the guest mounts the share.
    pub tag: Tag,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Request queues; the daemon must serve as many.
    pub queues: NonZeroU16,
    /// With or without a window.
    pub kind: ShareKind,
    /// Whether QEMU waits for another daemon after this one has gone. A stock QEMU does not start
    /// with such a device that has a window.
    pub reconnects: bool,
}

/// Pause between two tries to reach a daemon.
const RECONNECT_MS: u32 = 100;

impl ShareDevice {
    /// The arguments for this device, the `index`th of its machine.
    pub(super) fn args(&self, index: usize) -> Vec<OsString> {
        let id = format!("fs{index}");
        let device = match self.kind {
            ShareKind::Window => Opt::new("vhost-user-test-device-pci")
                .set("chardev", &id)
                .with("virtio-id", VIRTIO_ID_FS)
                .with("num_vqs", HIGH_PRIORITY_QUEUES + self.queues.get())
                .with("vq_size", QUEUE_SIZE)
                .with("config_size", CONFIG_SIZE),
            ShareKind::Plain => Opt::new("vhost-user-fs-pci")
                .set("chardev", &id)
                .set("tag", self.tag.as_str())
                .with("num-request-queues", self.queues)
                .with("queue-size", QUEUE_SIZE),
        };
        let socket = Opt::new("socket").set("id", &id).set("path", &self.socket);
        let socket = if self.reconnects {
            socket.with("reconnect-ms", RECONNECT_MS)
        } else {
            socket
        };
        vec![
            "-chardev".into(),
            socket.into(),
            "-device".into(),
            device.into(),
        ]
    }
}

/// A virtio-blk device on an NBD server.
#[derive(Debug, Clone)]
pub struct NbdDisk {
    /// The server's socket. It must listen before QEMU starts.
    pub socket: PathBuf,
}

impl NbdDisk {
    /// The arguments for this device, the `index`th of its machine.
    pub(super) fn args(&self, index: usize) -> Vec<OsString> {
        let id = format!("disk{index}");
        let backend = Opt::new("nbd")
            .set("node-name", &id)
            .set("server.type", "unix")
            .set("server.path", &self.socket);
        vec![
            "-blockdev".into(),
            backend.into(),
            "-device".into(),
            Opt::new("virtio-blk-pci").set("drive", &id).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_fit_the_config_field() {
        assert!("x".repeat(36).parse::<Tag>().is_ok());
        for text in [String::new(), "x".repeat(37), "a\0b".into()] {
            assert!(text.parse::<Tag>().is_err(), "{text:?}");
        }
    }
}
