#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# daemon/dist/build.sh [DIR]
#
# Builds the Debian packages virtiofs-daxd and daxlab into DIR (target/packages): the programs, their
# manual pages and shell completions, the systemd unit, and the files for libvirt. They run on the
# Debian release that they are built on and on newer ones. It installs what a fresh Debian lacks.
set -eu

case " $* " in
*' -h '* | *' --help '*)
    sed -n '4,/^set -eu$/s/^#\{1,\} \{0,1\}//p' "$0"
    exit
    ;;
esac
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"
# shellcheck source=qemu/programs.sh
. "$here/qemu/programs.sh"
out=${1:-}
case $out in
'' | /*) ;;
*) out=$PWD/$out ;;
esac
cd "$here"

need_cargo
need_packages package_packages
target=${CARGO_TARGET_DIR:-target}
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# The commit: git writes it into this file of an archive; elsewhere git is asked.
commit=$(cat daemon/dist/commit)
date=$(date -R -r CHANGELOG.md)
case $commit in
'$Format'*)
    commit=$(git describe --always --exclude '*' --abbrev=9 --dirty) ||
        fail "this is neither a clone nor an archive that git made, so the commit is unknown: build in one of these"
    date=$(git log -1 --format=%aD)
    ;;
esac

export VIRTIOFS_DAX_VERSION="$version ($commit)"
for package in virtiofs-daxd qemu-guard; do
    cargo build --quiet --profile dist -p $package
done
# Link-time optimisation is for what serves requests.
cargo build --quiet --release -p daxlab
build_static --quiet -p guest-agent

# Only those who debug want symbols, and they build.
export DEB_BUILD_OPTIONS=noautodbgsym
tree=$target/dist/packages/tree
rm -rf "$target/dist/packages"
mkdir -p "$tree"
cp -r daemon/dist/debian daemon/dist/60-virtiofs-daxd.json daemon/dist/share.conf \
    daemon/dist/apparmor-libvirt-qemu CHANGELOG.md "$tree"
cp daemon/dist/virtiofs-daxd@.service "$tree/debian"
cp "$target/dist/virtiofs-daxd" "$target/dist/libqemu_guard.so" "$target/release/daxlab" \
    "$target/$STATIC_TARGET/release/guest-agent" "$tree"
for document in libvirt limits metrics; do
    # A package has no tree around a document, so its links lead to nowhere but the web's.
    sed 's/\[\([^]]*\)\](\(\.\.\/\)*[^):]*)/\1/g' "daemon/docs/$document.md" >"$tree/$document.md"
done
for command in daemon lab; do
    cargo build --quiet --release -p dist-docs --no-default-features --features $command
    "$target/release/dist-docs" "$tree/docs"
done
{
    cat daemon/dist/debian/copyright
    printf '\nLicense: Apache-2.0 or BSD-3-Clause\n'
    printf ' Apache-2.0: see /usr/share/common-licenses/Apache-2.0.\n .\n BSD-3-Clause:\n .\n'
    sed 's/^$/./; s/^/ /' LICENSE-BSD-3-Clause
    printf '\nComment: Parts of the binaries come from these packages of crates.io, under these licences:\n'
    for package in virtiofs-daxd qemu-guard daxlab guest-agent; do
        cargo tree --quiet --offline --locked -p $package -e normal --prefix none --format '{p}, {l}'
    done | sed '/ (\/.*), /d; / (\*)$/d; s/ (proc-macro)//' | sort -u | sed 's/^/ /'
} >"$tree/debian/copyright"
cat >"$tree/debian/changelog" <<LOG
virtiofs-dax ($version-1) unstable; urgency=medium

  * Commit $commit; the changes are in the upstream changelog.

 -- The virtiofs-dax Authors <virtiofs-dax@localhost.invalid>  $date
LOG
(cd "$tree" && debian/rules binary >../log 2>&1) || {
    cat "$tree/../log" >&2
    fail "the packages could not be made; debhelper's words are above"
}
out=${out:-$target/packages}
rm -rf "$out"
mkdir -p "$out"
mv "$tree"/../*.deb "$out"
ls "$out"/*.deb
