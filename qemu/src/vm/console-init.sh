#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The guest's first process when a person started QEMU by hand: no agent, a shell on the console.
# The kernel hands over the argument share_tag=TAG as a variable.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM="${TERM:-vt100}"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
if [ -e /lib/modules/load.list ]; then
    while read -r module; do insmod "/lib/modules/load/$module"; done < /lib/modules/load.list
fi
mkdir -p /share
# shellcheck disable=SC2154 # see above
mount -t virtiofs -o dax=inode "$share_tag" /share && echo "$share_tag is mounted on /share; 'poweroff -f' ends the guest"
cd /share || cd /
setsid cttyhack sh
cd /
sync
umount /share
poweroff -f
