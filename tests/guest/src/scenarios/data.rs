// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Both sides see the same bytes by every way of access, and a mapping changes nothing.

use std::fs::{self, File};
use std::num::NonZeroU16;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use guest_agent::access::{self, HashFile, HashTree, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::process::Share;

use crate::lab::{Boot, Held, Lab, Plan, Snapshot};
use crate::scenario::{Group, Tests};
use crate::tests;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Sizes around the edges of a page, of a range of the window and of several ranges.
const SIZES: [u64; 9] = [
    0,
    1,
    4 * KIB - 1,
    4 * KIB,
    4 * KIB + 1,
    2 * MIB - 1,
    2 * MIB,
    2 * MIB + 1,
    64 * MIB + 7,
];
const WAYS: [How; 2] = [How::Syscall, How::Mmap];

pub const GROUP: Group = Group {
    name: "data",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            files_are_in_dax_mode,
            a_wrong_byte_is_found,
            host_files_read_the_same,
            guest_files_read_the_same,
            a_sparse_file_beyond_4_gib,
            a_store_of_the_guest_is_seen_by_the_host,
            a_store_of_the_host_is_seen_by_the_guest,
            mapping_changes_nothing,
            mapping_does_not_grow_a_file_that_was_emptied,
            many_readers_at_once,
            a_file_grows_and_shrinks_under_its_mapping,
            unmount_empties_the_window,
            stop_and_cont,
        ],
    },
};

/// On Debian's kernel, as users have it: it is configured otherwise than those that are built here.
fn boot() -> Result<Boot> {
    let plan = Plan::new("data")?.set(|share| Share {
        queues: NonZeroU16::new(2).expect("not zero"),
        ..share
    });
    Ok(Boot::with(plan).debian())
}

/// Without a window every other test of this group would still pass, so this one has to fail.
async fn files_are_in_dax_mode(lab: &Lab<'_>) -> Result<()> {
    let share = lab.first();
    fs::write(share.on_host("some"), "content")?;
    lab.expect_dax(&share.in_guest("some")).await?;
    let mounted = lab.sh("grep virtiofs /proc/mounts").await?;
    ensure!(mounted.contains(&share.mount_point()), "mounts: {mounted}");
    let log = lab.sh("dmesg | grep -i virtiofs").await?;
    ensure!(
        log.contains("Cache len: 0x10000000"),
        "the kernel's log: {log}"
    );
    Ok(())
}

pub(super) async fn host_files_read_the_same(lab: &Lab<'_>) -> Result<()> {
    for size in SIZES {
        let (name, seed) = (format!("host-{size}"), Seed(size));
        let on_host = lab.first().on_host(&name);
        access::fill(&on_host, Part::first(size), seed, How::Syscall)?;
        for how in WAYS {
            let path = lab.first().in_guest(&name);
            lab.verify(&path, Part::first(size), seed, how).await?;
            let path = path.into();
            let seen = lab.op(HashFile { path, how }).await?;
            let expected = access::hash(&on_host, How::Syscall)?;
            ensure!(
                seen == expected,
                "{name} by {how:?}: {seen:?}, not {expected:?}"
            );
        }
    }
    Ok(())
}

/// The tests below can fail: one wrong byte is enough.
async fn a_wrong_byte_is_found(lab: &Lab<'_>) -> Result<()> {
    let (size, wrong) = (2 * MIB + 1, 2 * MIB - 1);
    let path = lab.first().on_host("wrong");
    access::fill(&path, Part::first(size), Seed(9), How::Syscall)?;
    let host = File::options().read(true).write(true).open(&path)?;
    let mut byte = [0];
    host.read_exact_at(&mut byte, wrong)?;
    host.write_all_at(&[!byte[0]], wrong)?;
    let in_guest = lab.first().in_guest("wrong");
    for how in WAYS {
        let found = lab
            .verify(&in_guest, Part::first(size), Seed(9), how)
            .await
            .err();
        let found = format!("{:#}", found.context("not found in the guest")?);
        ensure!(
            found.contains(&format!("offset {wrong:#x}:")),
            "by {how:?}: {found}"
        );
    }
    let found = expect_on_host(lab, "wrong", Part::first(size), Seed(9));
    ensure!(found.is_err(), "not found on the host");
    Ok(())
}

pub(super) async fn guest_files_read_the_same(lab: &Lab<'_>) -> Result<()> {
    for size in SIZES {
        for how in WAYS {
            let name = format!("guest-{size}-{how:?}");
            let (in_guest, part) = (lab.first().in_guest(&name), Part::first(size));
            // The second write goes over existing bytes, so it takes the window and not FUSE_WRITE.
            for (seed, done) in [(size + 1, "written"), (size + 2, "overwritten")] {
                lab.fill(&in_guest, part, Seed(seed), how).await?;
                expect_on_host(lab, &name, part, Seed(seed))
                    .with_context(|| format!("{size} bytes {done} by {how:?}"))?;
            }
        }
    }
    Ok(())
}

/// On the host, the file has exactly the bytes of `part`, by both ways of access.
fn expect_on_host(lab: &Lab<'_>, name: &str, part: Part, seed: Seed) -> Result<()> {
    let path = lab.first().on_host(name);
    let size = fs::metadata(&path)?.len();
    ensure!(size == part.offset + part.len, "{name} has {size} bytes");
    for how in WAYS {
        access::verify(&path, part, seed, how)?
            .map_err(|mismatch| anyhow::anyhow!("{name} by {how:?}: {mismatch}"))?;
    }
    Ok(())
}

async fn a_sparse_file_beyond_4_gib(lab: &Lab<'_>) -> Result<()> {
    let (name, part) = (
        "sparse",
        Part {
            offset: 5 * GIB + 12_345,
            len: 3 * MIB,
        },
    );
    access::fill(&lab.first().on_host(name), part, Seed(55), How::Syscall)?;
    let in_guest = lab.first().in_guest(name);
    for how in WAYS {
        for (old, new) in [(55, 56), (56, 55)] {
            lab.verify(&in_guest, part, Seed(old), how).await?;
            lab.fill(&in_guest, part, Seed(new), how).await?;
        }
        expect_on_host(lab, name, part, Seed(55))?;
    }
    // The hole before the data is a hole on both sides.
    let hole = lab
        .sh(&format!("head -c 8192 {in_guest} | tr -d '\\0' | wc -c"))
        .await?;
    ensure!(hole == "0", "{hole} bytes of the hole are not zero");
    fs::remove_file(lab.first().on_host(name)).context("can't remove the sparse file")
}

async fn a_store_of_the_guest_is_seen_by_the_host(lab: &Lab<'_>) -> Result<()> {
    let path = lab.first().on_host("stored-by-guest");
    access::fill(&path, Part::first(4 * MIB + 100), Seed(1), How::Syscall)?;
    let mut held = Held::new(lab, "stored-by-guest", true).await?;
    let host = File::open(&path)?;
    for offset in [0, 4095, 2 * MIB - 2, 4 * MIB + 96] {
        held.store(offset, &[0x00, 0x11, 0x22, 0x33]).await?;
        let mut bytes = [0xff; 4];
        host.read_exact_at(&mut bytes, offset)?;
        ensure!(
            bytes == [0x00, 0x11, 0x22, 0x33],
            "the host read {bytes:x?} at {offset}"
        );
    }
    held.quit().await
}

async fn a_store_of_the_host_is_seen_by_the_guest(lab: &Lab<'_>) -> Result<()> {
    let path = lab.first().on_host("stored-by-host");
    access::fill(&path, Part::first(4 * MIB), Seed(1), How::Syscall)?;
    let mut held = Held::new(lab, "stored-by-host", false).await?;
    let host = File::options().write(true).open(&path)?;
    for (round, offset) in [0, 4095, 2 * MIB - 2, 4 * MIB - 4].into_iter().enumerate() {
        // Loaded before, so that only the shared page can bring the new bytes.
        held.read(offset, 4).await?;
        let bytes = [round as u8, 0xaa, 0xbb, 0xcc];
        host.write_all_at(&bytes, offset)?;
        held.expect(offset, &bytes).await?;
    }
    held.quit().await
}

async fn mapping_changes_nothing(lab: &Lab<'_>) -> Result<()> {
    let dir = lab.first().on_host("unchanged");
    fs::create_dir_all(&dir)?;
    for size in SIZES {
        let path = dir.join(size.to_string());
        access::fill(&path, Part::first(size), Seed(size), How::Syscall)?;
    }
    let before = Snapshot::of(&dir)?;
    let in_guest = lab.first().in_guest("unchanged");
    let hash_tree = HashTree {
        dir: in_guest.clone().into(),
        how: How::Mmap,
    };
    let seen = lab.op(hash_tree).await?;
    ensure!(seen.len() == SIZES.len(), "not all were read: {seen:?}");
    lab.agent().sync().await?;
    // A program can't map an empty file, but a read(2) at its end asks for a mapping.
    lab.sh(&format!("cat {in_guest}/* > /dev/null")).await?;
    before.expect_same(&Snapshot::of(&dir)?)
}

/// QEMU grows a file of size 0 that it is told to map. After the host has emptied a file, the guest
/// may still ask for a mapping of it.
pub(super) async fn mapping_does_not_grow_a_file_that_was_emptied(lab: &Lab<'_>) -> Result<()> {
    let path = lab.first().on_host("emptied");
    access::fill(&path, Part::first(6 * MIB), Seed(1), How::Syscall)?;
    let mut held = Held::new(lab, "emptied", false).await?;
    held.read(0, 1).await?;
    File::options().write(true).open(&path)?.set_len(0)?;
    // Fills the guest's page table without touching a page: an access would end QEMU (SIGBUS).
    let populated = held.populate(2 * MIB, 4096).await;
    populated.context("no range of the emptied file was mapped")?;
    held.quit().await?;
    let size = fs::metadata(&path)?.len();
    ensure!(size == 0, "the emptied file has {size} bytes");
    fs::remove_file(&path).context("can't remove the emptied file")
}

/// Each fault of each reader needs a mapping that is in effect when the fault is answered.
async fn many_readers_at_once(lab: &Lab<'_>) -> Result<()> {
    let size = 48 * MIB + 5;
    for reader in 0..4 {
        let path = lab.first().on_host(&format!("reader-{reader}"));
        access::fill(&path, Part::first(size), Seed(reader), How::Syscall)?;
    }
    let read = |reader: u64| async move {
        let path = lab.first().in_guest(&format!("reader-{reader}"));
        lab.verify(&path, Part::first(size), Seed(reader), How::Mmap)
            .await
    };
    tokio::try_join!(read(0), read(1), read(2), read(3))?;
    Ok(())
}

pub(super) async fn a_file_grows_and_shrinks_under_its_mapping(lab: &Lab<'_>) -> Result<()> {
    let (name, path) = ("changing", lab.first().in_guest("changing"));
    let mut end = 0;
    for (round, size) in [MIB + 1, 5 * MIB + 3, 3 * MIB + 9, 9 * MIB]
        .into_iter()
        .enumerate()
    {
        if size < end {
            lab.sh(&format!("truncate -s {size} {path}")).await?;
        }
        let (part, seed) = (Part::first(size), Seed(round as u64));
        lab.fill(&path, part, seed, WAYS[(round + 1) % 2]).await?;
        expect_on_host(lab, name, part, seed)?;
        end = size;
    }
    Ok(())
}

async fn unmount_empties_the_window(lab: &Lab<'_>) -> Result<()> {
    let share = lab.first();
    let path = share.on_host("remounted");
    access::fill(&path, Part::first(8 * MIB), Seed(8), How::Syscall)?;
    let in_guest = share.in_guest("remounted");
    let part = Part::first(8 * MIB);
    for _ in 0..3 {
        lab.verify(&in_guest, part, Seed(8), How::Mmap).await?;
        ensure!(
            lab.mapped_ranges()? > 0,
            "QEMU has nothing mapped after a read"
        );
        lab.agent().umount(&share.mount_point()).await?;
        let emptied = lab.expect_nothing_mapped().await;
        lab.mount(share).await?;
        emptied.context("after the unmount")?;
    }
    lab.verify(&in_guest, part, Seed(8), How::Mmap).await
}

/// QEMU takes the rings back and returns them to the daemon. The mappings stay as they were.
async fn stop_and_cont(lab: &Lab<'_>) -> Result<()> {
    let half = 4 * MIB;
    access::fill(
        &lab.first().on_host("stopped"),
        Part::first(2 * half),
        Seed(4),
        How::Syscall,
    )?;
    // QEMU unmaps with a delay: mappings of other tests must not vanish while this test counts.
    lab.agent().umount(&lab.first().mount_point()).await?;
    let emptied = lab.expect_nothing_mapped().await;
    lab.mount(lab.first()).await?;
    emptied?;
    let path = lab.first().in_guest("stopped");
    let first = Part::first(half);
    for _ in 0..5 {
        lab.verify(&path, first, Seed(4), How::Mmap).await?;
        let mapped = lab.mapped_ranges()?;
        let mut qmp = lab.vm().guest().qmp().await;
        qmp.stop().await?;
        qmp.cont().await?;
        drop(qmp);
        ensure!(
            mapped > 0 && lab.mapped_ranges()? == mapped,
            "the mappings did not stay"
        );
        lab.verify(&path, first, Seed(4), How::Mmap).await?;
    }
    // New mappings are possible too.
    let second = Part {
        offset: half,
        len: half,
    };
    lab.verify(&path, second, Seed(4), How::Mmap).await
}
