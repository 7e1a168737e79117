// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! However a guest, its QEMU or its daemon ends, nothing stays behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::machine::OnReset;
use qemu_guest::vm::{Crash, Parts, VmSpec};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use crate::lab::{Boot, Held, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// What Linux maps at a time.
const RANGE: u64 = 2 * MIB;
/// More ranges than QEMU's table of memory regions holds, without CONFIGURE_MEM_SLOTS: eight.
const MANY_RANGES: u64 = 12;
/// How long a daemon may take to end after a signal.
const END_DEADLINE: Duration = Duration::from_secs(60);

pub const GROUP: Group = Group {
    name: "life",
    tests: Tests::Alone(tests![Alone:
        qemu_is_killed,
        the_daemon_is_asked_to_end,
        the_daemon_is_killed,
        a_reboot_in_order,
        a_reset_with_live_mappings,
        resets_with_live_mappings,
        a_reset_with_memory_slots,
        a_stop_while_mappings_are_made,
        a_stop_with_many_mappings,
        a_page_of_a_truncated_file,
    ]),
};

/// A guest with live mappings.
async fn mapped(host: &Host) -> Result<Lab<'_>> {
    mapped_in(host, &host.parts).await
}

async fn mapped_in<'h>(host: &'h Host, parts: &Parts) -> Result<Lab<'h>> {
    let part = Part::first(8 * MIB);
    let plan = Plan::new("life")?
        .content(|dir| access::fill(&dir.join("file"), part, Seed(1), How::Syscall))?;
    let lab = Lab::start_with(host, parts, Boot::with(plan)).await?;
    let path = lab.first().in_guest("file");
    lab.expect_dax(&path).await?;
    lab.verify(&path, part, Seed(1), How::Mmap).await?;
    Ok(lab)
}

async fn qemu_is_killed(host: &Host) -> Result<()> {
    let lab = mapped(host).await?;
    let leftovers = lab.leftovers();
    signal(lab.vm().guest().pid(), Signal::KILL)?;
    leftovers.expect_none().await
}

async fn the_daemon_is_asked_to_end(host: &Host) -> Result<()> {
    daemon_gets(host, Signal::TERM).await
}

async fn the_daemon_is_killed(host: &Host) -> Result<()> {
    daemon_gets(host, Signal::KILL).await
}

/// QEMU survives the daemon: a guest that has lost its file system can still be shut down.
async fn daemon_gets(host: &Host, what: Signal) -> Result<()> {
    let lab = mapped(host).await?;
    let leftovers = lab.leftovers();
    signal(lab.vm().daemons()[0].pid(), what)?;
    timeout(END_DEADLINE, lab.gone())
        .await
        .with_context(|| format!("the daemon has not ended {END_DEADLINE:?} after {what:?}"))?;
    let status = lab.vm().guest().qmp().await.status().await?;
    ensure!(
        status == "running",
        "QEMU says {status:?} after the daemon's end"
    );
    let text = lab.sh("echo alive").await?;
    ensure!(text == "alive", "the guest said {text:?}");
    let (vm, shares) = lab.into_vm();
    // Whether QEMU reports an error about the lost device is not checked here.
    vm.quit().await.ok();
    drop(shares);
    leftovers.expect_none().await
}

/// The guest unmounts before it reboots, so its next boot finds the window empty and usable.
async fn a_reboot_in_order(host: &Host) -> Result<()> {
    let part = Part::first(8 * MIB);
    let plan = Plan::new("life")?
        .content(|dir| access::fill(&dir.join("file"), part, Seed(1), How::Syscall))?;
    let boot = Boot::with(plan).spec(|spec| VmSpec {
        on_reset: OnReset::Restart,
        ..spec
    });
    let mut lab = host.boot(boot).await?;
    let path = lab.first().in_guest("file");
    for (life, seed) in [("first", Seed(1)), ("second", Seed(2))] {
        lab.expect_dax(&path).await.context(life)?;
        let verified = lab.verify(&path, part, seed, How::Mmap).await;
        verified.context(life)?;
        let filled = lab.fill(&path, part, Seed(2), How::Mmap).await;
        filled.context(life)?;
        ensure!(
            lab.mapped_ranges()? > 0,
            "nothing mapped in the {life} life"
        );
        if life == "first" {
            lab.reboot().await?;
            lab.expect_nothing_mapped()
                .await
                .context("after the reboot")?;
            lab.mount(lab.first()).await?;
        }
    }
    lab.end().await
}

/// Four kinds of resets in one VM, each with live mappings. The guest comes back each time, and
/// reads the right bytes. No command may inspect QEMU's memory meanwhile: `info mtree` would hide a
/// crash.
async fn resets_with_live_mappings(host: &Host) -> Result<()> {
    four_resets(host, &[]).await
}

/// The same with these arguments for the daemon.
pub async fn four_resets(host: &Host, daemon_args: &[&str]) -> Result<()> {
    let part = Part::first(MANY_RANGES * RANGE);
    let plan = Plan::new("life")?
        .daemon_args(daemon_args)
        .content(|dir| access::fill(&dir.join("file"), part, Seed(1), How::Syscall))?;
    let boot = Boot::with(plan).spec(|spec| VmSpec {
        on_reset: OnReset::Restart,
        ..spec
    });
    let mut lab = host.boot(boot).await?;
    let path = lab.first().in_guest("file");
    let all = [
        Crash::Reboot,
        Crash::Sysrq,
        Crash::Panic,
        Crash::SystemReset,
    ];
    for crash in all {
        lab.expect_dax(&path).await?;
        lab.verify(&path, part, Seed(1), How::Mmap)
            .await
            .with_context(|| format!("before {crash:?}"))?;
        let mapped = lab.mapped_ranges()?;
        ensure!(
            mapped >= MANY_RANGES,
            "{mapped} ranges are mapped before {crash:?}"
        );
        lab.crash(crash)
            .await
            .with_context(|| format!("{crash:?}"))?;
        lab.mount(lab.first())
            .await
            .with_context(|| format!("after {crash:?}"))?;
    }
    lab.verify(&path, part, Seed(1), How::Mmap).await?;
    lab.end().await
}

/// The cost of `--mem-slots` if mappings are memory regions: QEMU 11.1 looks for a region that it
/// has dropped. If they are no regions, the guest comes back.
async fn a_reset_with_memory_slots(host: &Host) -> Result<()> {
    let part = Part::first(8 * MIB);
    let plan = Plan::new("life")?
        .daemon_args(&["--mem-slots"])
        .content(|dir| access::fill(&dir.join("file"), part, Seed(1), How::Syscall))?;
    let boot = Boot::with(plan).spec(|spec| VmSpec {
        on_reset: OnReset::Restart,
        ..spec
    });
    let mut lab = host.boot(boot).await?;
    let path = lab.first().in_guest("file");
    lab.verify(&path, part, Seed(1), How::Mmap).await?;
    if host.has_one_region().await? {
        lab.crash(Crash::Reboot).await?;
        lab.mount(lab.first()).await?;
        let verified = lab.verify(&path, part, Seed(1), How::Mmap).await;
        verified.context("after the reset")?;
        return lab.end().await;
    }
    // The guest's agent is lost with QEMU.
    lab.sh("busybox reboot -f").await.err();
    lab.dies_of("signal: 11").await
}

/// With -no-reboot a reset ends QEMU; the daemon leaves nothing behind.
async fn a_reset_with_live_mappings(host: &Host) -> Result<()> {
    let lab = mapped(host).await?;
    let leftovers = lab.leftovers();
    lab.vm().guest().qmp().await.system_reset().await?;
    let (vm, shares) = lab.into_vm();
    // With -no-reboot a reset ends QEMU, with or without an error.
    if let Err(error) = vm.quit().await {
        log::info!("after a reset with live mappings: {error:#}");
    }
    drop(shares);
    leftovers.expect_none().await
}

/// A known limit: QEMU 11.1 dereferences a null pointer if a request to map arrives after it has
/// stopped the device. The daemon leaves nothing behind in any case. (Without --mem-slots the share
/// would hang after a stop: see below.) A QEMU whose window is one memory region accepts the
/// request.
async fn a_stop_while_mappings_are_made(host: &Host) -> Result<()> {
    let size = 96 * MIB;
    let plan = Plan::new("life")?
        .daemon_args(&["--mem-slots"])
        .content(|dir| access::fill(&dir.join("file"), Part::first(size), Seed(1), How::Syscall))?;
    let lab = host.boot(Boot::with(plan)).await?;
    let path = lab.first().in_guest("file");
    let stops = async {
        loop {
            let mut qmp = lab.vm().guest().qmp().await;
            qmp.stop().await?;
            qmp.cont().await?;
        }
    };
    let outcome: Result<()> = tokio::select! {
        read = lab.verify(&path, Part::first(size), Seed(1), How::Mmap) => read,
        failed = stops => failed,
    };
    if outcome.is_ok() || host.has_one_region().await? {
        outcome?;
        // The last stop may lack its cont.
        lab.vm().guest().qmp().await.cont().await?;
        return lab.end().await;
    }
    // The connections to the guest's agent and to QMP break an instant before QEMU's end is seen.
    let died = lab.dies_of("signal: 11").await;
    died.with_context(|| format!("the guest failed: {outcome:?}"))
}

/// A known limit: QEMU does not start a device without CONFIGURE_MEM_SLOTS if its table does not
/// fit into one message. So a share hangs if its VM was paused with many ranges. A reset of the
/// guest repairs the share. With --mem-slots, or if mappings are no memory regions, the share does
/// not hang.
async fn a_stop_with_many_mappings(host: &Host) -> Result<()> {
    let size = MANY_RANGES * RANGE;
    let (first, second) = (
        Part::first(size),
        Part {
            offset: size,
            len: size,
        },
    );
    let one_region = host.has_one_region().await?;
    for slots in [true, false] {
        let plan = Plan::new("life")?.content(|dir| {
            access::fill(
                &dir.join("file"),
                Part::first(2 * size),
                Seed(1),
                How::Syscall,
            )
        })?;
        let plan = if slots {
            plan.daemon_args(&["--mem-slots"])
        } else {
            plan
        };
        let boot = Boot::with(plan).spec(|spec| VmSpec {
            on_reset: OnReset::Restart,
            ..spec
        });
        let mut lab = host.boot(boot).await?;
        let path = lab.first().in_guest("file");
        lab.verify(&path, first, Seed(1), How::Mmap).await?;
        let mut qmp = lab.vm().guest().qmp().await;
        qmp.stop().await?;
        qmp.cont().await?;
        drop(qmp);
        if slots || one_region {
            let old = lab.verify(&path, first, Seed(1), How::Mmap).await;
            old.context("after the stop")?;
            let new = lab.verify(&path, second, Seed(1), How::Mmap).await;
            new.context("new mappings")?;
        } else {
            lab.daemon_says("hangs until the guest is reset").await?;
            // Existing mappings still work.
            lab.crash(Crash::SystemReset).await?;
            lab.mount(lab.first()).await?;
            let verified = lab.verify(&path, first, Seed(1), How::Mmap).await;
            verified.context("after the reset")?;
        }
        lab.end().await?;
    }
    Ok(())
}

/// QEMU gets SIGBUS if its guest touches a page that the host has cut off. QEMU survives with
/// `qemu/guard`, or by itself if a window is one memory region. Else it dies.
async fn a_page_of_a_truncated_file(host: &Host) -> Result<()> {
    let (lab, mut held) = cut_off(mapped(host).await?).await?;
    held.expect(4 * MIB, &[0; 8]).await?;
    held.quit().await?;
    lab.end().await?;

    let plain = host.parts.clone().without_guard();
    let (lab, mut held) = cut_off(mapped_in(host, &plain).await?).await?;
    if host.has_one_region().await? {
        held.expect(4 * MIB, &[0; 8])
            .await
            .context("without the guard")?;
        held.quit().await?;
        return lab.end().await;
    }
    held.begin_to_read(4 * MIB, 8).await?;
    // If a later QEMU survives this, qemu/guard has little left to do.
    lab.dies_of("signal: 7").await
}

/// Has the guest hold a mapping of the file, and truncates the file on the host.
async fn cut_off(lab: Lab<'_>) -> Result<(Lab<'_>, Held)> {
    let held = Held::new(&lab, "file", false).await?;
    let file = lab.first().on_host("file");
    std::fs::File::options()
        .write(true)
        .open(file)?
        .set_len(0)?;
    Ok((lab, held))
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process")?;
    Ok(kill_process(pid, signal)?)
}
