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
# shellcheck source=qemu/programs.sh
. "$here/qemu/programs.sh"

need_root
need_cargo
if builds_qemu "$@"; then need_packages qemu_packages; else need_packages; fi
build_programs virtiofs-daxd qemu-guard guest-agent daxlab
run_daxlab share "$@"
