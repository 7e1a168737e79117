# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# What the scripts that run.sh plays in a Debian have in common, for them to source.

fail() {
    echo "FAILED: $*"
    journalctl --no-pager -q -u 'virtiofs-daxd@*' -n 40 || :
    exit 1
}

# eventually WHAT COMMAND…: until the command succeeds, for two minutes at most.
eventually() {
    what=$1
    shift
    for _ in $(seq 1200); do
        "$@" && return
        sleep 0.1
    done
    fail "waited two minutes for $what"
}

# install_packages: those of /packages.
install_packages() {
    dpkg -i /packages/virtiofs-daxd_*.deb /packages/daxlab_*.deb
}

# is_serving NAME: whether the unit's daemon waits for a VM, or serves one.
is_serving() {
    [ "$(systemctl is-active "virtiofs-daxd@$1")" = active ] && [ -S "/run/virtiofs-daxd/$1.sock" ]
}

main_process() {
    systemctl show --property=MainPID --value "virtiofs-daxd@$1"
}

# serves_anew NAME PID: whether a daemon has come after the one whose main process was PID.
serves_anew() {
    is_serving "$1" && [ "$(main_process "$1")" != "$2" ]
}
