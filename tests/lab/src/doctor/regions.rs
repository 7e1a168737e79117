// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many memory regions a VM's vhost devices support. Each mapped range of a window is a region.

use std::fs;

use super::finding::Finding;

/// The limit of the kernel's vhost devices, on a host with that module.
const OF_VHOST: &str = "/sys/module/vhost/parameters/max_mem_regions";
/// The regions of a window of the default size and of the VM's own memory.
const OF_A_DEFAULT_VM: u64 = 128 + 8;
const SUBJECT: &str = "memory regions";

/// The limit of the kernel's vhost devices, if this host has any.
pub fn vhost_regions() -> Option<u64> {
    fs::read_to_string(OF_VHOST).ok()?.trim().parse().ok()
}

/// Whether the limit suffices for a window of the default size.
pub fn regions() -> Finding {
    match vhost_regions() {
        None => Finding::ok(SUBJECT, "no limit by vhost devices: no module vhost"),
        Some(regions) => judge(regions),
    }
}

fn judge(regions: u64) -> Finding {
    let found = format!("vhost devices take {regions}");
    if regions >= OF_A_DEFAULT_VM {
        return Finding::ok(SUBJECT, found);
    }
    let found = format!("{found}, so that daemons make a smaller window by default");
    Finding::warn(SUBJECT, found).mend(
        "echo options vhost max_mem_regions=509 > /etc/modprobe.d/vhost.conf and load the module \
         anew; or give the daemon --max-regions=0 for VMs without vhost-net and the like",
    )
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::finding::Mark;

    #[test]
    fn few_regions_are_worth_a_warning() {
        let marks = [
            (64, Mark::Warn),
            (135, Mark::Warn),
            (136, Mark::Ok),
            (509, Mark::Ok),
        ];
        for (regions, mark) in marks {
            assert_eq!(judge(regions).mark(), mark, "{regions}");
        }
    }
}
