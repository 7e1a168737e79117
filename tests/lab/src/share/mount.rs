// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mounts the share, and verifies the mount.

use anyhow::{Context, Result, bail};
use qemu_guest::vm::Vm;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::Share;

/// The mount point in the guest's root.
pub const TARGET: &str = "/share";

/// The mount point of another share in the guest's root.
pub fn other(share: &Share) -> String {
    format!("/mnt/{}", share.tag)
}

/// Mounts a share and checks in the guest's own tables that it is there.
///
/// # Errors
///
/// If the guest can't mount it, or mounted something else.
pub async fn mount(vm: &Vm, share: &Share, target: &str) -> Result<()> {
    // The daemon decides which files use the window. With `dax=always` the guest would use it for
    // all files, and a read of a file that can't be mapped would fail.
    let options = share.window.map_or("dax=never", |_| "dax=inode");
    let tag = &share.tag;
    vm.mount(tag.as_str(), target, options).await?;
    let table = vm.agent().read_file("/proc/mounts").await?;
    if !is_mounted(&String::from_utf8_lossy(&table), target) {
        bail!("the guest says that {tag} is mounted, but its /proc/mounts does not");
    }
    Ok(())
}

/// The size of the window that the guest's kernel found, from its log.
///
/// # Errors
///
/// If the log can't be read.
pub async fn window(vm: &Vm) -> Result<Option<ByteSize>> {
    let log = vm.agent().check(["dmesg"]).await;
    let log = log.context("the guest's kernel log can't be read")?;
    Ok(window_in(&log.stdout_text()))
}

/// Parses `virtiofs virtio0: Cache len: 0x10000000 @ 0x7c00000000` (fs/fuse/virtio_fs.c).
fn window_in(log: &str) -> Option<ByteSize> {
    let (_, rest) = log.split_once("Cache len: 0x")?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok().map(ByteSize::new)
}

fn is_mounted(table: &str, target: &str) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        // The table writes a space so; other characters of tags are themselves in it.
        let found = fields.next().map(|field| field.replace("\\040", " "));
        found.as_deref() == Some(target) && fields.next() == Some("virtiofs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_read_from_the_kernels_log() {
        let log = "[ 0.8] virtiofs virtio0: Cache len: 0x10000000 @ 0x7c00000000\n[ 0.9] next";
        assert_eq!(window_in(log), Some(ByteSize::mib(256)));
        assert_eq!(window_in("[ 0.8] virtiofs: no cache"), None);
    }

    #[test]
    fn only_virtiofs_at_the_target_counts() {
        let found = |table| is_mounted(table, TARGET);
        assert!(found(
            "proc /proc proc rw 0 0\nshare /share virtiofs rw,relatime 0 0\n"
        ));
        assert!(!found(
            "share /share tmpfs rw 0 0\nshare /mnt virtiofs rw 0 0\n"
        ));
        assert!(is_mounted(
            "a\\040b /mnt/a\\040b virtiofs rw 0 0\n",
            "/mnt/a b"
        ));
    }
}
