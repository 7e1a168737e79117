// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a QEMU adds whose window is one memory region: a window for a daemon without any privilege,
//! a window for a read-only share, and as many ranges as the window has room for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use anyhow::{Context as _, Result, ensure};
use guest_agent::access::{self, How, Part, StorePhysical};
use guest_agent::pattern::Seed;
use qemu_guest::vm::machine::{ByteSize, OnReset};
use qemu_guest::vm::process::Share;
use qemu_guest::vm::{Crash, VmSpec, WindowKind};

use super::{budget, data, faults, life};
use crate::lab::{Boot, Held, Host, Lab, Plan, Snapshot, unprivileged};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// Length in bytes of a file that does not end at a page's edge.
const ODD: u64 = 5_000_001;
/// What Linux maps at a time.
const RANGE: u64 = 2 * MIB;
/// Live ranges of a window of 8 GiB.
const RANGES: u64 = 2000;
/// The value that a hostile kernel stores.
const WORD: u64 = 0x6465_6b63_6174_7461;

pub const GROUP: Group = Group {
    name: "one_region",
    tests: Tests::Alone(tests![Alone:
        a_daemon_without_privileges,
        two_thousand_ranges,
        four_resets_with_memory_slots,
        a_hostile_kernel_s_stores,
        no_mapping_is_refused,
        direct_views_are_right,
    ]),
};

/// The daemon of an ordinary user in a user namespace of its own, like virtiofsd, with the same
/// user's QEMU. Such a daemon can't make views of files.
async fn a_daemon_without_privileges(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    let (_qemu, parts) = unprivileged::qemu(host)?;
    let (_daemon, parts) = unprivileged::daemon(parts)?;
    let plan = Plan::new("mine")?
        .daemon_args(&["--inode-file-handles=never"])
        .content(|dir| {
            fs::write(dir.join("empty"), "")?;
            access::fill(&dir.join("odd"), Part::first(ODD), Seed(1), How::Syscall)?;
            for path in [dir, &dir.join("odd"), &dir.join("empty")] {
                chown(path, Some(unprivileged::UID), None)?;
            }
            Ok(())
        })?;
    let boot = Boot::with(plan).spec(|spec| VmSpec {
        on_reset: OnReset::Restart,
        ..spec
    });
    let mut lab = Lab::start_with(host, &parts, boot).await?;
    let (qemu, daemon) = (lab.vm().guest().pid(), lab.vm().daemons()[0].pid());
    for pid in [qemu, daemon] {
        let user = fs::metadata(format!("/proc/{pid}"))?.uid();
        ensure!(user == unprivileged::UID, "process {pid} is user {user}'s");
    }
    for life in ["first", "second"] {
        bytes_are_equal(&lab)
            .await
            .with_context(|| format!("in the {life} life"))?;
        lab.crash(Crash::SystemReset).await?;
        lab.mount(lab.first()).await?;
    }
    data::guest_files_read_the_same(&lab).await?;
    data::a_file_grows_and_shrinks_under_its_mapping(&lab).await?;
    lab.end().await
}

/// Each side reads through the window what the other side writes, and no file grows.
async fn bytes_are_equal(lab: &Lab<'_>) -> Result<()> {
    let (share, part) = (lab.first(), Part::first(ODD));
    let on_host = share.on_host("odd");
    for name in ["odd", "empty"] {
        lab.expect_dax(&share.in_guest(name)).await?;
    }
    access::fill(&on_host, part, Seed(1), How::Syscall)?;
    let odd = share.in_guest("odd");
    lab.verify(&odd, part, Seed(1), How::Mmap).await?;
    lab.fill(&odd, part, Seed(2), How::Mmap).await?;
    ensure!(lab.mapped_ranges()? > 0, "QEMU has nothing mapped");
    lab.sh(&format!("cat {}", share.in_guest("empty"))).await?;
    let seen = access::verify(&on_host, part, Seed(2), How::Mmap)?;
    seen.map_err(|mismatch| anyhow::anyhow!("on the host: {mismatch}"))?;
    for (name, size) in [("odd", ODD), ("empty", 0)] {
        let found = fs::metadata(share.on_host(name))?.len();
        ensure!(found == size, "{name} has {found} bytes");
    }
    Ok(())
}

async fn no_mapping_is_refused(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    budget::no_mapping_is_refused(host).await
}

async fn direct_views_are_right(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    faults::direct_views_are_right(host).await
}

async fn two_thousand_ranges(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    budget::live_ranges(host, RANGES).await
}

async fn four_resets_with_memory_slots(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    life::four_resets(host, &["--mem-slots"]).await
}

/// A kernel stores to the whole window by physical addresses, past the file system. In a writable
/// share it only does what it is permitted to do. In a read-only share the stores have no effect.
async fn a_hostile_kernel_s_stores(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    const SIZE: u64 = 2 * RANGE;
    let plan = |tag, read_only, window| {
        Plan::new(tag)?
            .set(|share| Share {
                read_only,
                ..share.with_window(ByteSize::new(window))
            })
            .content(|dir| {
                access::fill(&dir.join("file"), Part::first(SIZE), Seed(1), How::Syscall)
            })
    };
    // The two windows differ in size, so the guest's list of devices tells them apart.
    let windows = [("writable", 16 * MIB), ("read-only", 8 * MIB)];
    let boot = Boot::with(plan(windows[0].0, false, windows[0].1)?)
        .and(plan(windows[1].0, true, windows[1].1)?)
        // It has /dev/mem.
        .debian()
        .spec(|mut spec| {
            spec.append.push("iomem=relaxed".to_owned());
            spec
        });
    let lab = host.boot(boot).await?;
    for (tag, window) in windows {
        let share = lab.share(tag);
        let before = Snapshot::of(share.folder())?;
        let mut held = Held::of(&lab, tag, "file", false).await?;
        let mut words = Vec::new();
        for offset in [0, RANGE] {
            words.push(held.read(offset, 8).await?);
        }
        let attack = StorePhysical {
            from: address_of(&lab, window).await?,
            len: window,
            word: WORD,
        };
        let attacked = lab.op(attack).await?;
        ensure!(attacked.stored == window / RANGE, "{attacked:?}");
        let after = Snapshot::of(share.folder())?;
        if tag == "writable" {
            // The attack works: in the writable share its stores arrive.
            for offset in [0, RANGE] {
                held.expect(offset, &WORD.to_le_bytes()).await?;
            }
            ensure!(before.expect_same(&after).is_err(), "nothing was stored");
        } else {
            for (offset, word) in [0, RANGE].into_iter().zip(&words) {
                held.expect(offset, word).await?;
            }
            ensure!(
                attacked.kept == 0,
                "the window has kept stores: {attacked:?}"
            );
            before.expect_same(&after)?;
        }
        held.quit().await?;
    }
    lab.end().await
}

/// Where the guest has the window of this size.
async fn address_of(lab: &Lab<'_>, window: u64) -> Result<u64> {
    let resources = lab.sh("cat /sys/bus/pci/devices/*/resource").await?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let mut ranges = resources.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((number(fields.next()?)?, number(fields.next()?)?))
    });
    let found = ranges.find(|(from, to)| to - from + 1 == window);
    let (from, _) = found.with_context(|| format!("no region of {window} bytes:\n{resources}"))?;
    Ok(from)
}
