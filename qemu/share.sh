#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# qemu/share.sh DIR [options] [-- CMD ARG…]
#
# Shares DIR with a guest through a DAX window: a shell in the guest, or one command there. This
# installs what a fresh Debian lacks, builds, and hands over to `daxlab share`, whose --help lists
# the options. Standard output is the guest command's alone.
set -eu

# Distribution packages that building and running need, each with a file that it brings.
needed() {
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

fail() {
    echo "share.sh: $*" >&2
    exit 125
}

missing() {
    needed | while read -r package file; do
        [ -e "$file" ] || echo "$package"
    done
}

install_packages() {
    command -v apt-get >/dev/null || fail "these packages are missing, and there is no apt-get to install them: $*"
    echo "share.sh: installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The package lists may be missing or too old for what they name.
    apt-get install -q -y --no-install-recommends "$@" >&2 2>/dev/null ||
        { apt-get update -q >&2 && apt-get install -q -y --no-install-recommends "$@" >&2; } ||
        fail "installing failed; see apt's words above"
}

# Shows cargo's progress on a terminal, and where there is nothing built yet; else only its errors.
build() {
    quiet=--quiet
    if [ -t 2 ] || [ ! -x "${CARGO_TARGET_DIR:-target}/release/daxlab" ]; then quiet=; fi
    # shellcheck disable=SC2086 # no word at all unless quiet
    cargo build $quiet --release -p virtiofs-daxd >&2 || fail "building the daemon failed"
    # Static, because it is the guest's first process; so it needs a target of its own.
    # shellcheck disable=SC2086
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static" \
        cargo build $quiet --release -p guest-agent --target x86_64-unknown-linux-gnu >&2 ||
        fail "building the guest's agent failed"
    # shellcheck disable=SC2086
    cargo build $quiet --release -p daxlab >&2 || fail "building daxlab failed"
}

[ "$(id -u)" -eq 0 ] || fail "run this as root: the daemon needs it to serve files of all owners"
[ "$(uname -m)" = x86_64 ] || fail "guests are x86-64, and so must this machine be"
# A fresh installation of the tool chain is not in the PATH of a running shell.
PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
command -v cargo >/dev/null || fail "no cargo here: install a Rust tool chain from https://rustup.rs"
packages=$(missing)
# shellcheck disable=SC2086 # one word per package
[ -z "$packages" ] || install_packages $packages
here=$(cd "$(dirname "$0")/.." && pwd)
# Only cargo changes the folder: a relative DIR counts from where the user is.
(cd "$here" && build)
exec cargo run --quiet --release --manifest-path "$here/Cargo.toml" -p daxlab -- share "$@"
