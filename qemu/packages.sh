# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# What this project's scripts want of a machine, for them to source: need_root, need_packages and
# need_cargo each return when it is there, or end the script in one sentence that says what to do.
# Standard output is the script's own; all is said on standard error.

# The status that a script fails with here; one that has a meaning for 1 sets its own first.
FAILURE=${FAILURE:-1}

fail() {
    echo "${0##*/}: $*" >&2
    exit "$FAILURE"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail "run this as root: the daemon needs it to serve files of all owners"
    [ "$(uname -m)" = x86_64 ] || fail "guests are x86-64, and so must this machine be"
}

# Distribution packages that building and running need, each with a file that it brings.
wanted_packages() {
    cat <<'LIST'
gcc /usr/bin/cc
libc6-dev /usr/include/stdio.h
pkg-config /usr/bin/pkg-config
libcap-ng-dev /usr/include/cap-ng.h
libseccomp-dev /usr/include/seccomp.h
debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
ca-certificates /etc/ssl/certs/ca-certificates.crt
LIST
}

# What the tests' suites of others are built with, and programs of everyday work in a share.
suite_packages() {
    cat <<'LIST'
btrfs-progs /sbin/mkfs.btrfs
libacl1-dev /usr/include/sys/acl.h
git /usr/bin/git
logrotate /usr/sbin/logrotate
python3 /usr/bin/python3
rsync /usr/bin/rsync
sqlite3 /usr/bin/sqlite3
valgrind /usr/bin/valgrind
LIST
}

# What the packages are made with.
package_packages() {
    cat <<'LIST'
debhelper /usr/bin/dh
LIST
}

# What the packages are tested with.
debian_packages() {
    cat <<'LIST'
lintian /usr/bin/lintian
mmdebstrap /usr/bin/mmdebstrap
systemd-container /usr/bin/systemd-nspawn
LIST
}

# What shows the daemon's page.
page_packages() {
    cat <<'LIST'
chromium /usr/bin/chromium
fonts-dejavu-core /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
LIST
}

# What the lab makes its file systems with.
lab_packages() {
    cat <<'LIST'
e2fsprogs /sbin/mkfs.ext4
xfsprogs /sbin/mkfs.xfs
LIST
}

# What building a kernel needs; daxlab has the same list, in qemu/src/artifacts/needs.rs.
kernel_packages() {
    cat <<'LIST'
make /usr/bin/make
binutils /usr/bin/ld
flex /usr/bin/flex
bison /usr/bin/bison
bc /usr/bin/bc
patch /usr/bin/patch
tar /bin/tar
xz-utils /usr/bin/xz
libelf-dev /usr/include/gelf.h
LIST
}

# What building QEMU needs; daxlab has the same list, in qemu/src/artifacts/needs.rs.
qemu_packages() {
    cat <<'LIST'
binutils /usr/bin/strip
ninja-build /usr/bin/ninja
libglib2.0-dev /usr/include/glib-2.0/glib.h
libfdt-dev /usr/include/libfdt.h
libslirp-dev /usr/include/slirp/libslirp.h
zlib1g-dev /usr/include/zlib.h
patch /usr/bin/patch
tar /bin/tar
xz-utils /usr/bin/xz
python3 /usr/bin/python3
LIST
    # It has no file of its own; what it brings is in a folder of Python's version.
    for file in /usr/lib/python3.*/ensurepip; do
        echo "python3-venv $file"
        break
    done
}

# builds_qemu ARGUMENT…: whether they, or the environment, want QEMU built.
builds_qemu() {
    case "${1:-} ${2:-}" in
    'qemu build') return 0 ;;
    esac
    for arg in "${DAXLAB_QEMU:-}" "$@"; do
        case ,${arg#--qemu=}, in
        *,series,* | *,series:stock,*) return 0 ;;
        esac
    done
    return 1
}

all_packages() {
    wanted_packages
    for list; do "$list"; done
}

# need_packages [LIST…]: what everything needs, and what is in these lists.
need_packages() {
    packages=$(all_packages "$@" | while read -r package file; do
        [ -e "$file" ] || echo "$package"
    done)
    [ -n "$packages" ] || return 0
    # One word per package from here on.
    # shellcheck disable=SC2086
    set -- $packages
    command -v apt-get >/dev/null || fail "these packages are missing, and there is no apt-get to install them: $*"
    echo "${0##*/}: installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The package lists may be missing or too old for what they name.
    apt-get install -q -y --no-install-recommends "$@" </dev/null >&2 2>/dev/null ||
        { apt-get update -q </dev/null >&2 &&
            apt-get install -q -y --no-install-recommends "$@" </dev/null >&2; } ||
        fail "installing failed; see apt's words above"
}

need_cargo() {
    # A fresh installation of the tool chain is not in the PATH of a running shell.
    PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
    command -v cargo >/dev/null || fail "no cargo here: install a Rust tool chain from https://rustup.rs"
}
