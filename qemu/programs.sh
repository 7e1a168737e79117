# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Building this project's programs, for its scripts to source after packages.sh: build_programs and
# run_daxlab. They want $here to be the repository.

STATIC_TARGET=x86_64-unknown-linux-gnu

# build_programs PACKAGE…: in release; those that run in a guest are static.
build_programs() {
    # cargo takes a relative target folder from its own working folder, which is not always the
    # user's.
    case ${CARGO_TARGET_DIR:-} in
    '' | /*) ;;
    *) export CARGO_TARGET_DIR="$PWD/$CARGO_TARGET_DIR" ;;
    esac
    # Standard input is the guest command's. Only cargo changes the folder: what the user names
    # counts from where the user is.
    (cd "$here" && for package; do build "$package"; done </dev/null) || exit "$FAILURE"
}

# Shows cargo's progress on a terminal, and where there is nothing built yet; else only its errors.
build() {
    quiet=--quiet
    if [ -t 2 ] || [ ! -x "${CARGO_TARGET_DIR:-target}/release/daxlab" ]; then quiet=; fi
    # shellcheck disable=SC2086 # no word at all unless quiet
    case $1 in
    guest-agent) build_static $quiet -p "$1" ;;
    *) cargo build $quiet --release -p "$1" ;;
    esac >&2 || fail "building $1 failed"
}

# With a target of its own, so that build scripts and macros stay dynamic. The user's flags would
# replace those of the target, so ours are added to them.
build_static() {
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static -C strip=debuginfo" \
        cargo build "$@" --release --target $STATIC_TARGET
}

# run_daxlab ARG…: takes this process's place.
run_daxlab() {
    exec cargo run --quiet --release --manifest-path "$here/Cargo.toml" -p daxlab -- "$@"
}
