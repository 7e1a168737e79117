// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs that run as an ordinary user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Result;
use qemu_guest::artifacts::{Qemu, QemuSpec};
use qemu_guest::script;
use qemu_guest::vm::Parts;
use tempfile::TempDir;

use super::Host;

/// Debian's user that owns no files, and the user's number.
const USER: &str = "nobody";
pub const UID: u32 = 65534;
/// Debian's group that owns no files.
pub const GROUP: &str = "nogroup";

/// The host's parts with a QEMU that runs as [`USER`]. Beyond that user's rights, QEMU finds its
/// own files and sockets in the tests' folders, which belong to root.
pub fn qemu(host: &Host) -> Result<(TempDir, Parts)> {
    let line = host.parts.qemu_line();
    let text = format!(
        r#"for arg; do
    case $arg in
        *path=*/qmp.sock*) dir=${{arg#*path=}} dir=${{dir%%/qmp.sock*}} ;;
    esac
done
if [ "${{dir:-}}" ]; then
    chgrp {GROUP} "$dir" "$dir/qmp.sock"
    chmod g+rwx "$dir" "$dir/qmp.sock"
fi
# The last one lets access(2) heed the capability, too.
exec setpriv --reuid {USER} --regid {GROUP} --clear-groups \
    --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search \
    --bounding-set -all,+dac_read_search --securebits +no_setuid_fixup \
    {line} "$@""#
    );
    let (folder, path) = script("qemu", &text)?;
    let qemu = Qemu::obtain(&QemuSpec::Path(path), &host.parts.cache)?;
    let parts = Parts {
        qemu,
        ..host.parts.clone()
    };
    Ok((folder, parts))
}

/// The same parts with a daemon that runs as [`USER`], without any capability. The folder of its
/// socket belongs to the user. The daemon is a copy of the program, which may be in a folder that
/// only root can enter.
pub fn daemon(parts: Parts) -> Result<(TempDir, Parts)> {
    let (folder, path) = script(
        "daemon",
        &format!(
            r#"[ "$1" = --socket-path ] && chown {USER} "${{2%/*}}"
exec setpriv --reuid {USER} --regid {GROUP} --clear-groups --inh-caps -all --ambient-caps -all \
    --bounding-set -all "${{0%/*}}/virtiofs-daxd" "$@""#
        ),
    )?;
    script::copy(&parts.daemon, &folder.path().join("virtiofs-daxd"))?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let parts = Parts {
        daemon: path,
        ..parts
    };
    Ok((folder, parts))
}

fn script(name: &str, text: &str) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    script::write(&path, text)?;
    Ok((folder, path))
}
