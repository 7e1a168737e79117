// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many ranges a VM supports. Outside QEMU's table of memory regions it is as many as the
//! window has. With `--mem-slots` QEMU aborts at 512 regions, over all shares of a VM. A daemon
//! refuses mappings before that, and a run without a budget shows that the abort is real. If a
//! window is one memory region, there is nothing to prevent, and no mapping is refused.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use guest_agent::access::{self, Copied, CopyMapped, How, Mapped, Part, Sweep};
use guest_agent::pattern::Seed;
use qemu_guest::vm::WindowKind;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Dax, Share};

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// What Linux maps at a time. Each range is a memory region of QEMU.
const RANGE: u64 = 2 * MIB;
/// Files of the greedy share and their ranges. The first two files take all regions that a budget
/// grants, so that the third one would exceed QEMU's limit. Each region makes QEMU's next mapping
/// slower, so there are no more than needed, and only the second file's are ever removed.
const FILES: [(&str, u64); 3] = [("most", 480), ("rest", 20), ("excess", 30)];

/// Ranges of the sparse file that fills the large window.
const RANGES: u64 = 1000;
/// The part that is copied: some full ranges, and a part of one.
const PART: Part = Part {
    offset: 0,
    len: 3 * RANGE + 8192,
};

/// The modest share's files.
const FEW: Part = Part {
    offset: 0,
    len: 2 * RANGE,
};

pub const GROUP: Group = Group {
    name: "budget",
    tests: Tests::Alone(tests![Alone:
        a_full_table,
        a_thousand_ranges,
        two_shares,
    ]),
};

/// A window of 8 GiB with 1,000 live ranges. Requests can use them like any other memory.
async fn a_thousand_ranges(host: &Host) -> Result<()> {
    live_ranges(host, RANGES).await
}

/// The same with `ranges` ranges.
pub async fn live_ranges(host: &Host, ranges: u64) -> Result<()> {
    let plan = Plan::new("large")?
        .set(|share| share.with_window(ByteSize::mib(8192)))
        .content(|dir| {
            File::create(dir.join("sparse"))?.set_len(ranges * RANGE)?;
            access::fill(&dir.join("file"), PART, Seed(5), How::Syscall)
        })?;
    let lab = host.boot(Boot::with(plan)).await?;
    let share = lab.first();
    verify_in(&lab, "large", "file", PART, 5).await?;
    sweep(&lab, &share.in_guest("sparse")).await?;
    let mapped = lab.mapped_ranges()?;
    ensure!(mapped > ranges, "{mapped} ranges are mapped");
    copies_both_ways(&lab, "large").await?;
    verify_in(&lab, "large", "file", PART, 5).await?;
    ensure!(lab.mapped_ranges()? >= mapped, "ranges were taken away");
    lab.end().await
}

/// Copies of a mapped file. Both ways use its memory as the buffer of a request: a write that
/// enlarges a DAX file, and O_DIRECT on a file that is no DAX file, because it is executable.
async fn copies_both_ways(lab: &Lab<'_>, tag: &str) -> Result<()> {
    let share = lab.share(tag);
    let path = |name: &str| PathBuf::from(share.in_guest(name));
    let content = std::fs::read(share.on_host("file"))?;
    // The size at its first open decides whether a file is a DAX file.
    for (name, mode, size, direct) in [
        ("grown", 0o644, PART.len, false),
        ("direct", 0o755, 0, true),
        ("plain", 0o755, 0, false),
    ] {
        let on_host = share.on_host(name);
        let file = File::create(&on_host)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_len(size)?;
        // At the file's beginning, and behind the bytes that are there by then.
        for at in [0, PART.len] {
            let copied = lab
                .op(CopyMapped {
                    from: path("file"),
                    to: path(name),
                    mapped: Mapped::From,
                    direct,
                    at,
                })
                .await?;
            ensure!(copied.whole, "{name}: {copied:?}");
        }
        let written = std::fs::read(&on_host)?;
        ensure!(
            written.len() == 2 * content.len()
                && written.chunks(content.len()).all(|half| half == content),
            "{name}: other bytes were written"
        );
    }
    let into = share.on_host("into");
    File::create(&into)?.set_len(PART.len)?;
    let copied = lab
        .op(CopyMapped {
            from: path("direct"),
            to: path("into"),
            mapped: Mapped::To,
            direct: true,
            at: 0,
        })
        .await?;
    ensure!(copied.whole, "{copied:?}");
    ensure!(std::fs::read(into)? == content, "other bytes were read");
    Ok(())
}

/// Each share reaches its own window, however many ranges both have, and never the other's.
async fn two_shares(host: &Host) -> Result<()> {
    let filled = |tag: &str, seed| {
        let inode = |share| Share {
            dax: Dax::Inode,
            ..share
        };
        Plan::new(tag)?.set(inode).content(|dir| {
            File::create(dir.join("sparse"))?.set_len(100 * RANGE)?;
            access::fill(&dir.join("file"), PART, Seed(seed), How::Syscall)
        })
    };
    let boot = Boot::with(filled("first", 6)?).and(filled("second", 7)?);
    let lab = host.boot(boot).await?;
    for tag in ["first", "second"] {
        sweep(&lab, &lab.share(tag).in_guest("sparse")).await?;
    }
    for (tag, other, seed) in [("first", "second", 6), ("second", "first", 7)] {
        copies_both_ways(&lab, tag).await.context(tag)?;
        copies_between(&lab, tag, other).await.context(tag)?;
        verify_in(&lab, tag, "file", PART, seed).await?;
    }
    lab.daemon_says("both daemons need --mem-slots").await?;
    lab.end().await
}

/// Copies between a file that one share has mapped and files of the other share. This is a known
/// limit: the other share's daemon can't reach that memory. The program gets EFAULT, and no byte is
/// written. Reads and writes through the guest's page cache are not affected.
async fn copies_between(lab: &Lab<'_>, tag: &str, other: &str) -> Result<()> {
    let (mine, other) = (lab.share(tag), lab.share(other));
    let mapped = mine.in_guest("file");
    let into = mine.on_host("foreign-into");
    File::create(&into)?.set_len(PART.len)?;
    let into = mine.in_guest("foreign-into");
    // Behind the end of a file that uses DAX from its first look-up on, and of one that does not.
    for (name, mode, direct) in [
        ("foreign-direct", 0o755, true),
        ("foreign-grown", 0o644, false),
    ] {
        let on_host = other.on_host(name);
        let file = File::create(&on_host)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_len(MIB)?;
        let copied = lab
            .op(CopyMapped {
                from: mapped.clone().into(),
                to: other.in_guest(name).into(),
                mapped: Mapped::From,
                direct,
                at: MIB,
            })
            .await?;
        ensure!(is_bad_address(&copied), "{name}: {copied:?}");
        let grown = std::fs::metadata(on_host)?.len() - MIB;
        ensure!(grown == 0, "{name}: {grown} bytes were written");
    }
    let plain = other.on_host("foreign-plain");
    File::create(&plain)?.set_permissions(Permissions::from_mode(0o755))?;
    let in_guest = other.in_guest("foreign-plain");
    let copied = lab
        .op(CopyMapped {
            from: mapped.into(),
            to: in_guest.clone().into(),
            mapped: Mapped::From,
            direct: false,
            at: 0,
        })
        .await?;
    ensure!(copied.whole, "{copied:?}");
    let content = std::fs::read(mine.on_host("file"))?;
    ensure!(
        std::fs::read(&plain)? == content,
        "other bytes were written"
    );

    let copied = lab
        .op(CopyMapped {
            from: in_guest.into(),
            to: into.into(),
            mapped: Mapped::To,
            direct: true,
            at: 0,
        })
        .await?;
    ensure!(is_bad_address(&copied), "a read: {copied:?}");
    let untouched = std::fs::read(mine.on_host("foreign-into"))?;
    ensure!(untouched.iter().all(|byte| *byte == 0), "bytes were read");
    Ok(())
}

/// Whether nothing was copied because the kernel could not reach the memory.
fn is_bad_address(copied: &Copied) -> bool {
    let error = copied.error.as_ref().map(|(number, _)| *number);
    copied.bytes == 0 && error == Some(libc::EFAULT)
}

/// One share takes as many regions as it can get. The daemon of the other share refuses a mapping
/// while there are too many regions, counting those of both.
async fn a_full_table(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let lab = greedy_and_modest(host).await?;
    let (greedy, modest) = (lab.share("greedy"), lab.share("modest"));
    refuses_one_access_at_a_time(&lab, &modest.in_guest("after")).await?;
    // Earlier mappings still work.
    verify(&lab, "before", FEW, 3).await?;

    // The removal of a file frees its ranges.
    lab.sh(&format!("rm {}", greedy.in_guest(FILES[1].0)))
        .await?;
    verify(&lab, "after", FEW, 4).await?;

    if sweep(&lab, &greedy.in_guest(FILES[2].0)).await.is_ok() {
        bail!("QEMU lives with more than 512 memory regions");
    }
    lab.dies_of("nregions <= VHOST_USER_MAX_RAM_SLOTS").await
}

/// If mappings are no regions, no daemon refuses one.
pub async fn no_mapping_is_refused(host: &Host) -> Result<()> {
    let lab = greedy_and_modest(host).await?;
    sweep(&lab, &lab.share("greedy").in_guest(FILES[2].0)).await?;
    let (mapped, asked) = (lab.mapped_ranges()?, FILES.iter().map(|file| file.1).sum());
    ensure!(mapped >= asked, "{mapped} ranges of {asked} are mapped");
    for (name, seed) in [("before", 3), ("after", 4)] {
        verify(&lab, name, FEW, seed).await?;
    }
    lab.end().await
}

/// Two shares with `--mem-slots`. The guest has mapped a file of the modest one, and as much of the
/// greedy one as a budget would grant it.
async fn greedy_and_modest(host: &Host) -> Result<Lab<'_>> {
    let greedy = Plan::new("greedy")?
        .set(|share| share.with_window(ByteSize::mib(2048)))
        .daemon_args(&["--mem-slots", "--fault", "budget=none"])
        .content(|dir| {
            for (name, ranges) in FILES {
                File::create(dir.join(name))?.set_len(ranges * RANGE)?;
            }
            Ok(())
        })?;
    let modest = Plan::new("modest")?
        .daemon_args(&["--mem-slots"])
        .content(|dir| {
            access::fill(&dir.join("before"), FEW, Seed(3), How::Syscall)?;
            access::fill(&dir.join("after"), FEW, Seed(4), How::Syscall)
        })?;
    let lab = host.boot(Boot::with(greedy).and(modest)).await?;
    verify(&lab, "before", FEW, 3).await?;
    for (name, _) in &FILES[..2] {
        sweep(&lab, &lab.share("greedy").in_guest(name)).await?;
    }
    Ok(lab)
}

/// Each way of access fails as programs expect it.
async fn refuses_one_access_at_a_time(lab: &Lab<'_>, path: &str) -> Result<()> {
    for (how, told) in [(How::Syscall, "os error"), (How::Mmap, "signal-7")] {
        let path = path.into();
        let swept = lab.op(Sweep { path, how }).await?;
        let why = swept.first.as_ref().map_or("", |(_, why)| why.as_str());
        ensure!(
            swept.touched == 0 && why.contains(told),
            "by {how:?}: {swept}"
        );
    }
    let log = std::fs::read_to_string(lab.vm().daemons()[1].log())?;
    ensure!(
        log.contains("memory regions in use, of 500"),
        "the daemon's log does not tell of the refusal:\n{log}"
    );
    Ok(())
}

async fn sweep(lab: &Lab<'_>, path: &str) -> Result<()> {
    let sweep = Sweep {
        path: path.into(),
        how: How::Syscall,
    };
    let swept = lab.op(sweep).await;
    let swept = swept.with_context(|| format!("filling {path}"))?;
    ensure!(swept.failed == 0, "filling {path}: {swept}");
    Ok(())
}

async fn verify(lab: &Lab<'_>, name: &str, part: Part, seed: u64) -> Result<()> {
    verify_in(lab, "modest", name, part, seed).await
}

async fn verify_in(lab: &Lab<'_>, tag: &str, name: &str, part: Part, seed: u64) -> Result<()> {
    let path = lab.share(tag).in_guest(name);
    lab.verify(&path, part, Seed(seed), How::Mmap).await
}
