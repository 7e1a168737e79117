#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/debian/run.sh packages|libvirt DIR [SUITE…]
#
# Plays packages.sh or libvirt.sh, with the packages in DIR, in a fresh Debian of each suite. Each is
# booted by systemd-nspawn with systemd, so nothing of this machine's is changed. The systems are made
# once by mmdebstrap, from the Debian mirror of this machine's apt, and kept in target/roots. `tests/run.sh
# packages` and `tests/run.sh libvirt` build the packages and call this.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
roots=${CARGO_TARGET_DIR:-$here/../../target}/roots
play=$1
packages=$(cd "$2" && pwd)
shift 2
case $play in
packages)
    wanted="bash-completion"
    [ $# -gt 0 ] || set -- bookworm trixie
    ;;
libvirt)
    wanted="libvirt-clients libvirt-daemon-system qemu-system-x86"
    [ $# -gt 0 ] || set -- trixie-backports
    ;;
*)
    echo "$0: this plays packages or libvirt, not '$play'" >&2
    exit 2
    ;;
esac
# What the packages say that they need is all that they find.
depends=$(for deb in "$packages"/*.deb; do
    dpkg-deb -f "$deb" Depends
done | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/ //g; /^virtiofs-dax/d; /^$/d' | sort -u)

# root SUITE PACKAGE…: prints the directory of a Debian that has these packages.
root() {
    suite=$1
    shift
    name=$suite-$(echo "$*" | sha256sum | cut -c1-12)
    if [ ! -d "$roots/$name" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -1)
        [ -n "$mirror" ] || {
            echo "apt on this machine has no Debian mirror: add one, and call apt-get update" >&2
            return 1
        }
        base=${suite%-backports}
        sources="deb $mirror $base main"
        [ "$base" = "$suite" ] || sources="$sources
deb $mirror $suite main"
        mkdir -p "$roots"
        rm -rf "$roots/$name.new"
        echo "making a Debian of $suite" >&2
        echo "$sources" | mmdebstrap --quiet --variant=minbase \
            --aptopt="APT::Default-Release \"$suite\"" \
            --include="$(echo "$*" | tr ' ' ',')" "$base" "$roots/$name.new" - >&2 || return
        mv "$roots/$name.new" "$roots/$name"
    fi
    echo "$roots/$name"
}

# The guests' QEMU and kernels are fetched once, for all of this machine's tests.
cache=${DAXLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/daxlab}
mkdir -p "$cache"
status=0
for suite; do
    begin=$(date +%s)
    # One word per package.
    # shellcheck disable=SC2086
    root=$(root "$suite" systemd systemd-sysv dbus $wanted $depends)
    work=$(mktemp -d "$roots/$play.XXXXXX")
    mkdir "$work/share"
    cat >"$work/play.service" <<UNIT
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
Requires=multi-user.target
After=multi-user.target
[Service]
Type=oneshot
Environment=DAXLAB_CACHE=/var/cache/daxlab HOME=/root
ExecStart=/bin/sh /tests/$play.sh
StandardOutput=file:/work/log
StandardError=inherit
UNIT
    # This machine's systemd, if any, has no part in it. Debian 13's wants the unified cgroups. The
    # container's own filter of system calls forbids file handles, which a host has.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_SECCOMP=0 timeout 1200 systemd-nspawn --register=no --keep-unit -q -b \
        -D "$root" --volatile=overlay --rlimit=RLIMIT_NOFILE=1048576 --bind=/dev/fuse --bind="$cache:/var/cache/daxlab" \
        --bind="$work:/work" --bind="$work/share:/srv/share" \
        --bind-ro="$packages:/packages" --bind-ro="$here:/tests" \
        --bind-ro="$here/../../daemon/docs:/docs" \
        --bind-ro="$work/play.service:/etc/systemd/system/play.service" \
        systemd.unit=play.service </dev/null >"$work/console" 2>&1 || :
    took=$(($(date +%s) - begin))
    if [ "$(tail -1 "$work/log" 2>/dev/null)" = "all as expected" ]; then
        echo "$play in $suite: ok ($took s)"
        sed -n 's/^note: /  /p' "$work/log"
        rm -rf "$work"
    else
        echo "$play in $suite: FAILED ($took s); its files are in $work, and its log ends with:"
        tail -60 "$work/log" 2>/dev/null || tail -5 "$work/console"
        status=1
    fi
done
exit $status
