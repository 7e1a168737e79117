#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/run.sh [FILTER…]
#
# Runs every check: format, lints, unit, property and doc tests, and the tests in real guests. It
# installs what a fresh Debian lacks and fetches what guests need. With FILTERs it runs only the
# guest tests whose names contain one of them. A line for each test with its time; the logs of
# failures are in target/guest-tests.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"
cd "$here"

# The exerciser's version; its results are compared between runs.
FSX_VERSION=0.3.2
STATIC_TARGET=x86_64-unknown-linux-gnu
TARGET=${CARGO_TARGET_DIR:-target}
# One failure must not hide what comes after it, so they are collected.
failed=

# step NAME COMMAND…: runs it and says how long it took; fails as the command does.
step() {
    name=$1
    shift
    echo "== $name"
    begin=$(date +%s)
    if "$@"; then
        echo "== $name: ok ($(($(date +%s) - begin)) s)"
    else
        echo "== $name: FAILED ($(($(date +%s) - begin)) s)"
        failed="$failed
  $name"
        return 1
    fi
}

unit_tests() {
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$here/tests/timed.sh" \
        cargo test --quiet --workspace --lib --bins --tests --no-fail-fast
}

doc_tests() {
    RUSTDOC="$here/tests/timed-doc.sh" cargo test --quiet --workspace --doc --no-fail-fast -- \
        --format pretty -Z unstable-options --report-time
}

# With a target of its own, so that build scripts and macros stay dynamic.
static() {
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" "$@" --target $STATIC_TARGET
}

build_for_guests() {
    # One at a time, as qemu/share.sh does: dependencies get the features that a call's packages
    # want, and would be built again by the other script.
    for package in virtiofs-daxd daxlab guest-tests; do
        cargo build --quiet --release -p $package || return
    done
    for package in guest-agent guest-probe; do
        static cargo build --quiet --release -p $package || return
    done
    build_fsx
}

build_fsx() {
    [ -x "$TARGET/fsx/bin/fsx" ] ||
        static cargo install --quiet fsx --version $FSX_VERSION --locked \
            --target-dir "$TARGET/fsx/build" --root "$TARGET/fsx"
}

need_root
need_cargo
need_packages
if [ $# -eq 0 ]; then
    step "format" cargo fmt --all --check || :
    step "lints" cargo clippy --quiet --workspace --all-targets -- -D warnings || :
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps || :
    step "unit and property tests" unit_tests || :
    step "doc tests" doc_tests || :
fi
# What was built before the failure of a build is not what is to be tested.
if step "build for guests" build_for_guests; then
    step "guest tests" "$TARGET/release/guest-tests" --logs "$TARGET/guest-tests" "$@" || :
fi
if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
echo "all passed"
