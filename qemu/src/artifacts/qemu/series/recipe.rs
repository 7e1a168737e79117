// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The inputs of the program.

use super::source;
use crate::artifacts::patch::{self, Patch};

/// The configure options: only what a guest with a share needs.
pub(super) const OPTIONS: [&str; 10] = [
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--enable-system",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-vhost-user",
    "--enable-fdt=system",
    "--enable-slirp",
    "--disable-docs",
    "--disable-install-blobs",
];

/// A file of the folder patches.
macro_rules! patch {
    ($name:literal) => {
        Patch {
            name: $name,
            text: include_str!(concat!("../../../../patches/", $name)),
        }
    };
}

/// The patches, in the order in which they apply: first those that let Debian's archive be built,
/// then the series.
pub(super) const PATCHES: &[Patch] = &[
    patch!("qemu-archive/0001-Build-from-a-source-without-firmware-and-compiled-de.patch"),
    patch!("qemu/0001-system-memory-Let-RAM-be-told-that-its-host-memory-w.patch"),
    patch!("qemu/0002-virtio-Make-a-shared-memory-region-one-RAM-region.patch"),
    patch!("qemu/0003-vhost-user-Tell-a-back-end-where-its-own-shared-memo.patch"),
    patch!("qemu/0004-vhost-user-Take-shared-memory-messages-of-a-stopped-.patch"),
    patch!("qemu/0005-vhost-user-Do-not-look-up-memory-that-is-gone.patch"),
    patch!("qemu/0006-virtio-Map-descriptors-that-are-open-for-reading-onl.patch"),
    patch!("qemu/0007-virtio-Keep-shared-memory-regions-out-of-VFIO-vDPA-a.patch"),
    patch!("qemu/0008-vhost-user-test-device-pci-Give-each-queue-an-interr.patch"),
    patch!("qemu/0009-vhost-user-test-device-pci-Take-shared-memory-of-any.patch"),
    patch!("qemu/0010-vhost-user-Let-a-mapping-be-replaced-by-another-one.patch"),
    patch!("qemu/0011-virtio-Unmap-shared-memory-when-a-device-is-unrealiz.patch"),
    patch!("qemu/0012-tests-qtest-Test-shared-memory-regions-of-vhost-user.patch"),
    patch!("qemu/0013-virtio-Survive-pages-that-a-mapped-file-can-t-supply.patch"),
    patch!("qemu/0014-chardev-char-socket-Do-not-unregister-what-failed-to.patch"),
    patch!("qemu/0015-vhost-user-base-Let-a-back-end-go-and-come.patch"),
    patch!("qemu/0016-vhost-user-base-Keep-the-requests-in-flight-for-the-.patch"),
    patch!("qemu/0017-tests-qtest-Test-back-ends-of-vhost-user-devices-tha.patch"),
    patch!("qemu/0018-tests-qtest-Test-that-a-dump-leaves-shared-memory-re.patch"),
    patch!("qemu/0019-tests-qtest-Test-what-an-unplugged-vhost-user-device.patch"),
    patch!("qemu/0020-virtio-Make-room-for-the-descriptors-of-shared-memor.patch"),
];

/// A digest of all inputs.
pub(super) fn digest() -> String {
    patch::digest(source::ingredients().into_iter().chain(OPTIONS), PATCHES)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_patch_of_the_folder_is_applied_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches");
        for part in ["qemu-archive", "qemu"] {
            let entries = fs::read_dir(folder.join(part)).unwrap();
            let mut there: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".patch"))
                .map(|name| format!("{part}/{name}"))
                .collect();
            there.sort();
            let names = PATCHES.iter().map(|patch| patch.name);
            let applied: Vec<_> = names
                .filter(|name| Path::new(name).parent() == Some(Path::new(part)))
                .collect();
            assert_eq!(applied, there);
        }
    }

    #[test]
    fn every_patch_is_signed_off_and_says_why() {
        for Patch { name, text } in PATCHES {
            let (message, _) = text.split_once("\n---\n").unwrap();
            assert!(message.contains("\nSubject: [PATCH"), "{name}");
            assert!(message.contains("\nSigned-off-by: "), "{name}");
            assert!(message.lines().count() > 8, "{name} says little");
        }
    }
}
