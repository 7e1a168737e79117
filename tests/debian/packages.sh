#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Runs in a fresh Debian that run.sh has booted: installs the packages of /packages, shares /srv/share by
# the systemd unit and by daxlab, and purges them: nothing may be left.
set -eu

. /tests/common.sh

# What a package could leave behind: files, mounts and processes.
state() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/cache -o -path /var/log \
        -o -path /tmp \) -prune -o -print | sort
    grep -h -e virtiofs -e daxd -e daxlab /proc/self/mountinfo || :
    find /run /dev/shm | grep -e daxd -e daxlab | grep -v '^/run/systemd/generator' || :
    cat /proc/[0-9]*/comm 2>/dev/null | grep -e virtiofs-daxd -e qemu || :
}

state >/tmp/before
install_packages

package=$(dpkg-query -W -f '${Version}' virtiofs-daxd)
for command in virtiofs-daxd daxlab; do
    said=$($command --version)
    case $said in
    "$command ${package%-*} ("[0-9a-f]*')') ;;
    *) fail "'$command --version' says '$said', without the version ${package%-*} and a commit" ;;
    esac
    bash -c ". /usr/share/bash-completion/completions/$command && complete -p $command" >/dev/null
    for file in "zsh/vendor-completions/_$command" "fish/vendor_completions.d/$command.fish"; do
        grep -q -e --help "/usr/share/$file" || fail "/usr/share/$file completes nothing"
    done
done
zcat /usr/share/man/man1/virtiofs-daxd.1.gz | grep -q dax.*window || fail "the daemon's manual page lacks its options"
zcat /usr/share/man/man1/daxlab-share.1.gz | grep -q read.*only || fail "share's manual page lacks its options"
binary=$(sed -n 's/.*"binary": "\(.*\)".*/\1/p' /usr/share/qemu/vhost-user/60-virtiofs-daxd.json)
"$binary" --print-capabilities >/dev/null

# The unit, as its example says.
cp /usr/share/doc/virtiofs-daxd/examples/share.conf /etc/virtiofs-daxd/share.conf
said=$(systemd-analyze verify --man=no virtiofs-daxd@share.service 2>&1) || fail "systemd refuses the unit: $said"
[ -z "$said" ] || fail "systemd complains of the unit: $said"
systemctl enable --now virtiofs-daxd@share
eventually "the unit's daemon" is_serving share
first=$(main_process share)

# A guest of a QEMU that is started by hand, as --dry-run prints it.
daxlab share --dry-run --tag share /srv/share >/tmp/lines
socket=$(sed -n 's/.*--socket-path[ =]\([^ ]*\).*/\1/p' /tmp/lines)
sed -n '/^until /,/^$/{/^until /!p}' /tmp/lines | sed "s#$socket#/run/virtiofs-daxd/share.sock#" >/tmp/qemu
grep -q /run/virtiofs-daxd/share.sock /tmp/qemu || fail "--dry-run prints no QEMU: $(cat /tmp/lines)"
mkfifo /tmp/keys
exec 3<>/tmp/keys
echo "from the host" >/srv/share/file
sh /tmp/qemu </tmp/keys >/tmp/console 2>&1 &
qemu=$!
eventually "the guest's shell" grep -q '/share # ' /tmp/console
echo "cat file; dmesg | grep 'Cache len'; echo from the guest >reply; exit" >&3
wait $qemu || fail "QEMU failed: $(tail -20 /tmp/console)"
exec 3>&-
grep -q '^from the host' /tmp/console || fail "the guest could not read the file: $(tail -20 /tmp/console)"
grep -q 'Cache len: 0x' /tmp/console || fail "the guest found no window: $(tail -20 /tmp/console)"
[ "$(cat /srv/share/reply)" = "from the guest" ] || fail "the guest could not write a file"
eventually "a daemon for the VM's next start" serves_anew share "$first"

# daxlab with what the packages brought.
said=$(daxlab share /srv/share -- cat /share/reply)
[ "$said" = "from the guest" ] || fail "daxlab share says '$said'"

# A wrong command line is not tried again.
echo 'OPTIONS=--no-such-option' >>/etc/virtiofs-daxd/share.conf
systemctl restart virtiofs-daxd@share || :
eventually "the end of a unit with a wrong option" systemctl is-failed -q virtiofs-daxd@share
[ "$(systemctl show --property=ExecMainStatus --value virtiofs-daxd@share)" = 2 ] || fail "the unit did not end by its wrong option"
sed -i '/no-such-option/d' /etc/virtiofs-daxd/share.conf
systemctl start virtiofs-daxd@share
eventually "the unit's daemon again" is_serving share

dpkg --purge daxlab virtiofs-daxd
rm -rf /root/.cache
state >/tmp/after
left=$(diff /tmp/before /tmp/after) || fail "this is left or gone after the purge: $left"
echo "all as expected"
