#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# qemu/share.sh DIR [options] [-- CMD ARG…]
#
# Shares DIR with a guest through a DAX window: a shell in the guest, or one command there. This
# installs what a fresh Debian lacks, builds, and hands over to `daxlab share`, whose --help lists
# the options. Standard output is the guest command's alone.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
# As of a program that could not be started, so that the command's own status stays apart.
FAILURE=125
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"

# Shows cargo's progress on a terminal, and where there is nothing built yet; else only its errors.
build() {
    quiet=--quiet
    if [ -t 2 ] || [ ! -x "${CARGO_TARGET_DIR:-target}/release/daxlab" ]; then quiet=; fi
    # shellcheck disable=SC2086 # no word at all unless quiet
    cargo build $quiet --release -p virtiofs-daxd >&2 || fail "building the daemon failed"
    # Static, because it is the guest's first process; so it needs a target of its own. The user's
    # flags would replace those of the target, so ours are added to them.
    # shellcheck disable=SC2086
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
        cargo build $quiet --release -p guest-agent --target x86_64-unknown-linux-gnu >&2 ||
        fail "building the guest's agent failed"
    # shellcheck disable=SC2086
    cargo build $quiet --release -p daxlab >&2 || fail "building daxlab failed"
}

need_root
need_cargo
need_packages
# cargo takes a relative target folder from its own working folder, which is not always the user's.
case ${CARGO_TARGET_DIR:-} in
'' | /*) ;;
*) export CARGO_TARGET_DIR="$PWD/$CARGO_TARGET_DIR" ;;
esac
# Only cargo changes the folder: a relative DIR counts from where the user is. Standard input is
# the guest command's.
(cd "$here" && build </dev/null)
exec cargo run --quiet --release --manifest-path "$here/Cargo.toml" -p daxlab -- share "$@"
