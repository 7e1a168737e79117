// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The parts of the source that no kernel here is built from, as patterns for tar. With them, to
//! unpack and keep a tree would take five times the space.
//!
//! All that Kconfig and make read stays. If a configuration needs a missing file, the compiler
//! fails.

/// Folders of drivers that are not compiled; of net, the loopback interface is.
const DRIVERS: &str = "accel ata comedi clk crypto dma edac gpu hid hwmon hwtracing i2c iio \
    infiniband input iommu leds media mfd misc mmc mtd net/* phy pinctrl platform power regulator \
    remoteproc s390 scsi soc spi staging target thermal usb video";
const FILE_SYSTEMS: &str = "bcachefs btrfs ceph f2fs gfs2 nfs nfsd ntfs3 ocfs2 smb ubifs";
const PROTOCOLS: &str = "bluetooth mac80211 netfilter sctp sunrpc tipc wireless";
/// All but x86.
const ARCHITECTURES: &str = "[a-wyz]* xtensa";

const REST: [&str; 7] = [
    "Documentation/*/*",
    "LICENSES/*",
    "samples/*.[chS]",
    "sound/*.[chS]",
    "tools/perf/*",
    "tools/testing/*",
    "*.dts*",
];

/// The patterns, for an archive whose files are all in the folder `top`. Headers of include/net are
/// not those of net, so each begins there.
pub(super) fn patterns(top: &str) -> Vec<String> {
    let folders = [
        ("drivers", DRIVERS),
        ("fs", FILE_SYSTEMS),
        ("net", PROTOCOLS),
        ("arch", ARCHITECTURES),
    ];
    let sources = folders.into_iter().flat_map(|(parent, names)| {
        let names = names.split_whitespace();
        names.map(move |name| format!("{parent}/{name}/*.[chS]"))
    });
    sources
        .chain(REST.map(str::to_owned))
        .map(|pattern| format!("{top}/{pattern}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_patterns_of_source_files() {
        let patterns = patterns("linux");
        for pattern in [
            "linux/drivers/gpu/*.[chS]",
            "linux/fs/ubifs/*.[chS]",
            "linux/*.dts*",
        ] {
            assert!(patterns.iter().any(|other| other == pattern), "{pattern}");
        }
        assert!(!patterns.iter().any(|pattern| pattern.contains("fuse")));
    }
}
