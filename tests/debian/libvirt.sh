#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Runs in a fresh Debian with libvirt that run.sh has booted: installs the packages of /packages, and
# does with a domain what an administrator does. The domain is the XML of daemon/docs/libvirt.md, with a
# kernel and a console. A line that begins with "note:" is what libvirt.md says of it.
set -eu
. /tests/common.sh

BOOT=/var/lib/libvirt/boot
socket_group=libvirt-qemu

note() {
    echo "note: $*"
}

# The domain of libvirt.md; arguments are sed's, to change it.
domain() {
    sed -n '/^```xml/,/^```/{/^```/!p}' /docs/libvirt.md | sed '/^<filesystem/,$d' | sed \
        -e "s#type='kvm'#type='qemu'#" \
        -e "/^<domain/a\\
  <name>vm</name><memory unit='MiB'>512</memory><vcpu>2</vcpu><cpu mode='maximum'/><features><acpi/><apic/></features>\\
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>$BOOT/kernel</kernel><initrd>$BOOT/initrd</initrd>\\
    <cmdline>console=ttyS0 quiet $append</cmdline></os><on_reboot>restart</on_reboot>\\
  <devices><memballoon model='none'/>\\
    <serial type='pipe'><source path='/run/vm/console'/></serial></devices>" "$@"
}

state_is() {
    [ "$($virsh domstate vm 2>/dev/null)" = "$1" ]
}

# The guest's console: what is written to keys is typed, and the log is what it shows.
open_console() {
    : >/work/guest
    # Opened for both, so that it has no end when libvirt opens and closes it.
    cat <>/run/vm/console.out >>/work/guest &
    reader=$!
}

# is_booted N: whether the guest has mounted the share N times, and its shell waits: what is typed before is
# lost.
is_booted() {
    [ "$(grep -c 'share is mounted on /share' /work/guest)" -ge "$1" ] && tail -1 /work/guest | grep -q '/share # '
}

# guest COMMAND: runs it in the guest, and prints what it says.
guest() {
    # grep fails where it counts none.
    number=$(grep -c '^end=' /work/guest || :)
    number=$((number + 1))
    echo "echo begin=\$((0+$number))=; { $*; } 2>&1; echo end=\$((0+$number))=" >/run/vm/console.in
    eventually "the guest's '$*'; its console ends with: $(tail -3 /work/guest)" \
        grep -q "^end=$number=" /work/guest
    tr -d '\r' </work/guest | sed -n "/^begin=$number=/,/^end=$number=/p" | sed '1d; $d'
}

start() {
    serving=$(main_process share)
    $virsh define /run/vm/domain.xml >/dev/null
    open_console
    $virsh start vm >/dev/null || fail "the domain does not start"
    eventually "the guest" is_booted 1
}

# process PATTERN: the folder in /proc of the first process whose command line matches. The pattern must
# not match itself, since grep's command line has it.
process() {
    found=$(grep -l -a "$1" /proc/[0-9]*/cmdline 2>/dev/null | head -1)
    [ -n "$found" ] && dirname "$found"
}

has_no_process() {
    ! process "$1" >/dev/null
}

# ended: the domain is off, a daemon waits for the next start, and nothing of QEMU's is left.
ended() {
    eventually "the domain's end" state_is "shut off"
    eventually "a daemon for the next start" serves_anew share "$serving"
    kill "$reader"
    has_no_process "guest=v[m]" || fail "QEMU is left"
    [ -z "$(find /run/virtiofs-daxd ! -name 'share.sock*' -type f)" ] || fail "files are left in /run/virtiofs-daxd"
    $virsh undefine vm >/dev/null
}

# reads_right: the guest maps the file, and has the host's bytes.
reads_right() {
    wanted=$(md5sum </srv/share/big | cut -d' ' -f1)
    guest md5sum /share/big | grep -q "^$wanted" || fail "after $1 the guest reads other bytes"
}

# refused WHAT COMMAND…: notes with which words.
refused() {
    what=$1
    shift
    ! said=$("$@" 2>&1) || fail "$what was not refused"
    note "$what: refused: $(echo "$said" | tr '\n' ' ')"
    state_is running || fail "after $what, which was refused, the domain is $($virsh domstate vm)"
    reads_right "$what"
}

prepare() {
    install_packages
    mkdir -p /run/vm "$BOOT"
    mkfifo /run/vm/console.in /run/vm/console.out
    head -c 50000000 /dev/urandom >/srv/share/big
    daxlab share --dry-run --tag share /srv/share >/run/vm/lines
    argument() { sed -n "s/.* -$1 \\('[^']*'\\|[^ ]*\\).*/\\1/p" /run/vm/lines | tr -d "'"; }
    cp "$(argument kernel)" $BOOT/kernel
    cp "$(argument initrd)" $BOOT/initrd
    append="rdinit=$(argument append | sed 's/.*rdinit=\([^ ]*\).*/\1/') share_tag=share"
    virsh="virsh -q -c qemu:///system"
    domain -e 's/{"driver"/{"id":"share0","driver"/' >/run/vm/domain.xml
    $virsh version | sed 's/^/note: /'
}

# serve OPTION…: the unit's daemon has these from now on.
serve() {
    printf 'SHARED_DIR=/srv/share\nOPTIONS=%s\n' "--socket-group=$socket_group $*" >/etc/virtiofs-daxd/share.conf
    systemctl restart virtiofs-daxd@share
    eventually "the unit's daemon" is_serving share
}

# dump FORMAT
dump() {
    rm -f /run/vm/dump
    $virsh dump --memory-only --format "$1" vm /run/vm/dump
}

# Pauses, of which a dump is one: suspend and resume while the guest maps and unmaps ranges. They take
# --mem-slots.
play_pauses() {
    serve --mem-slots
    start
    guest dmesg | grep -q 'Cache len: 0x' || fail "the guest found no window"
    reads_right "the start"
    guest "echo hello >/share/reply" >/dev/null
    [ "$(cat /srv/share/reply)" = hello ] || fail "the guest could not write"
    guest "touch /tmp/go; while [ -e /tmp/go ]; do md5sum /share/big; echo 3 >/proc/sys/vm/drop_caches; done >/tmp/sums 2>&1 & true" >/dev/null
    for _ in 1 2 3 4 5; do
        $virsh suspend vm >/dev/null
        state_is paused || fail "the domain is $($virsh domstate vm) after suspend"
        $virsh resume vm >/dev/null
    done
    [ "$(guest "rm /tmp/go; wait; sort -u /tmp/sums | wc -l")" = 1 ] || fail "the guest read other bytes while it was suspended"
    refused "virsh save" $virsh save vm /run/vm/saved
    refused "virsh managedsave" $virsh managedsave vm
    said=$($virsh qemu-monitor-command vm '{"execute":"device_del","arguments":{"id":"share0"}}')
    case $said in
    *error*) note "device_del: $said" ;;
    *) fail "device_del was not refused: $said" ;;
    esac
    reads_right "device_del"
    # The last range that is mapped goes beyond the end of the file.
    refused "virsh dump --memory-only --format elf" dump elf
    dump kdump-zlib >/dev/null || fail "a dump in kdump-zlib failed"
    state_is running || fail "after a dump in kdump-zlib the domain is $($virsh domstate vm)"
    reads_right "a dump in kdump-zlib"
    guest "cd /; umount /share" >/dev/null
    dump elf >/dev/null || fail "a dump in ELF failed although nothing is mapped"
    guest "mount -t virtiofs share /share; cd /share" >/dev/null
    reads_right "a dump in ELF"
    $virsh destroy vm >/dev/null
    ended
}

# Resets, and the daemon's end.
play_resets() {
    serve
    start
    reads_right "the start"
    $virsh reset vm >/dev/null
    eventually "the guest after reset" is_booted 2
    reads_right reset
    echo "reboot -f" >/run/vm/console.in
    eventually "the guest after reboot -f" is_booted 3
    reads_right "reboot -f"
    kill -KILL "$serving"
    eventually "a daemon after one that was killed" serves_anew share "$serving"
    serving=$(main_process share)
    state_is running || fail "after the daemon was killed the domain is $($virsh domstate vm)"
    $virsh destroy vm >/dev/null
    eventually "the domain's end" state_is "shut off"
    serving=none
    ended
}

# As qemu:///session, a user's own libvirt and QEMU: all that the user needs is the socket.
play_session() {
    useradd -m -U alice
    install -d -o alice /run/alice
    chown alice /run/vm/console.in /run/vm/console.out
    socket_group=alice
    serve --mem-slots
    system=$virsh
    virsh="runuser -u alice -- env XDG_RUNTIME_DIR=/run/alice HOME=/home/alice virsh -q -c qemu:///session"
    start
    guest dmesg | grep -q 'Cache len: 0x' || fail "in the user's session the guest found no window"
    reads_right "the start in the user's session"
    owner=$(stat -c %U "$(process "guest=v[m]")")
    [ "$owner" = alice ] || fail "QEMU of the user's session belongs to $owner"
    $virsh suspend vm >/dev/null
    $virsh resume vm >/dev/null
    reads_right "suspend and resume in the user's session"
    $virsh destroy vm >/dev/null
    ended
    virsh=$system
    socket_group=libvirt-qemu
}

# A plain <filesystem>, whose daemon libvirt starts and ends by itself. It has no window.
play_filesystem() {
    element="<filesystem type='mount'><driver type='virtiofs'/><binary path='/usr/libexec/virtiofs-daxd'/>\
<source dir='/srv/share'/><target dir='share'/></filesystem>"
    domain -e '/<qemu:commandline>/,/<\/qemu:commandline>/d' | sed "s#<devices>#&$element#" >/run/vm/domain.xml
    $virsh define /run/vm/domain.xml >/dev/null
    open_console
    $virsh start vm >/dev/null || fail "a domain with <filesystem> does not start"
    eventually "the guest" is_booted 1
    reads_right "the start with <filesystem>"
    guest "echo plain >/share/reply" >/dev/null
    [ "$(cat /srv/share/reply)" = plain ] || fail "the guest could not write to a <filesystem>"
    note "<filesystem>: $(tr '\0' ' ' <"$(process "virtiofs-daxd.--f[d]")/cmdline")"
    $virsh destroy vm >/dev/null
    eventually "the domain's end" state_is "shut off"
    eventually "the end of libvirt's daemon" has_no_process "virtiofs-daxd.--f[d]"
    kill "$reader"
    $virsh undefine vm >/dev/null
}

# Without <memoryBacking> the daemon can't have the guest's memory. The domain starts all the same.
play_private_memory() {
    domain -e /memoryBacking/d >/run/vm/domain.xml
    serving=$(main_process share)
    $virsh define /run/vm/domain.xml >/dev/null
    open_console
    $virsh start vm >/dev/null || fail "without memoryBacking the domain does not start"
    eventually "QEMU's word about the missing memoryBacking" has_no_device
    note "without memoryBacking: $($virsh domstate --reason vm); QEMU's log: $(grep vhost /var/log/libvirt/qemu/vm.log | tail -1)"
    $virsh destroy vm >/dev/null 2>&1 || :
    domain -e 's/{"driver"/{"id":"share0","driver"/' >/run/vm/domain.xml
    ended
}

has_no_device() {
    state_is "shut off" || grep -q 'Error starting vhost-user-base: 22' /var/log/libvirt/qemu/vm.log
}

prepare
play_pauses
play_resets
play_private_memory
play_session
play_filesystem
echo "all as expected"
