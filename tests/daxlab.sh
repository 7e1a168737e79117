#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/daxlab.sh COMMAND [ARG…]
#
# Runs daxlab from a fresh clone: installs what a fresh Debian lacks, builds, and hands over to
# `daxlab COMMAND`; --help lists the commands. Standard output is daxlab's alone.
#
#   tests/daxlab.sh test --kernel ./bzImage --fs fuse
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
# The lab's own failure; 1 would say that a kernel did something unexpected.
FAILURE=3
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"
# shellcheck source=qemu/programs.sh
. "$here/qemu/programs.sh"

# Whether the arguments want a kernel built: one of the lab's, or the user's own source tree.
builds_kernel() {
    for arg; do
        case ${arg#--kernel=} in
        build | build:*) return 0 ;;
        esac
        [ ! -e "${arg#--kernel=}/Kconfig" ] || return 0
    done
    return 1
}

need_root
need_cargo
lists=lab_packages
if builds_qemu "$@"; then lists="$lists qemu_packages"; fi
if [ "${1:-}" != qemu ] && builds_kernel "$@"; then lists="$lists kernel_packages"; fi
# One word per list.
# shellcheck disable=SC2086
need_packages $lists
build_programs virtiofs-daxd qemu-guard guest-agent daxlab
run_daxlab "$@"
