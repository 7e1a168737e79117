// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! However a guest, its QEMU or its daemon ends, nothing stays behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::machine::OnReset;
use qemu_guest::vm::{Crash, VmSpec, WindowKind};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// What Linux maps at a time.
const RANGE: u64 = 2 * MIB;
/// More ranges than QEMU's table of memory regions holds, without CONFIGURE_MEM_SLOTS: eight.
const MANY_RANGES: u64 = 12;
/// The part of a file that has so many.
const MANY: Part = Part {
    offset: 0,
    len: MANY_RANGES * RANGE,
};
/// A file of some ranges.
const SIZE: u64 = 8 * MIB;
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
        a_qemu_with_one_region_may_stop_while_mappings_are_made,
        a_stop_with_many_mappings,
        a_stop_with_memory_slots,
        a_qemu_with_one_region_may_stop_with_many_mappings,
    ]),
};

/// A share with a file of this size.
fn plan(size: u64, daemon_args: &[&str]) -> Result<Plan> {
    let part = Part::first(size);
    let plan = Plan::new("life")?.daemon_args(daemon_args);
    plan.content(|dir| access::fill(&dir.join("file"), part, Seed(1), How::Syscall))
}

/// A guest that a reset does not end.
fn restarting(plan: Plan) -> Boot {
    Boot::with(plan).spec(|spec| VmSpec {
        on_reset: OnReset::Restart,
        ..spec
    })
}

/// A guest with live mappings of its file.
async fn mapped(host: &Host, boot: Boot) -> Result<Lab<'_>> {
    let lab = host.boot(boot).await?;
    let path = lab.first().in_guest("file");
    lab.expect_dax(&path).await?;
    let whole = Part::first(SIZE);
    lab.verify(&path, whole, Seed(1), How::Mmap).await?;
    Ok(lab)
}

async fn qemu_is_killed(host: &Host) -> Result<()> {
    let lab = mapped(host, Boot::with(plan(SIZE, &[])?)).await?;
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
    let lab = mapped(host, Boot::with(plan(SIZE, &[])?)).await?;
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
    let part = Part::first(SIZE);
    let mut lab = host.boot(restarting(plan(SIZE, &[])?)).await?;
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
    let plan = plan(MANY.len, daemon_args)?;
    let mut lab = host.boot(restarting(plan)).await?;
    let path = lab.first().in_guest("file");
    let all = [
        Crash::Reboot,
        Crash::Sysrq,
        Crash::Panic,
        Crash::SystemReset,
    ];
    for crash in all {
        lab.expect_dax(&path).await?;
        lab.verify(&path, MANY, Seed(1), How::Mmap)
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
    lab.verify(&path, MANY, Seed(1), How::Mmap).await?;
    lab.end().await
}

/// The cost of `--mem-slots` if mappings are memory regions: QEMU 11.1 looks for a region that it
/// has dropped.
async fn a_reset_with_memory_slots(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let lab = mapped(host, restarting(plan(SIZE, &["--mem-slots"])?)).await?;
    // The guest's agent is lost with QEMU.
    lab.sh("busybox reboot -f").await.err();
    lab.dies_of("signal: 11").await
}

/// With -no-reboot a reset ends QEMU; the daemon leaves nothing behind.
async fn a_reset_with_live_mappings(host: &Host) -> Result<()> {
    let lab = mapped(host, Boot::with(plan(SIZE, &[])?)).await?;
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
/// would hang after a stop: see below.)
async fn a_stop_while_mappings_are_made(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let (lab, outcome) = stopped_while_mapping(host).await?;
    if outcome.is_ok() {
        return lab.end().await;
    }
    // The connections to the guest's agent and to QMP break an instant before QEMU's end is seen.
    let died = lab.dies_of("signal: 11").await;
    died.with_context(|| format!("the guest failed: {outcome:?}"))
}

/// Such a QEMU accepts the request.
async fn a_qemu_with_one_region_may_stop_while_mappings_are_made(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    let (lab, outcome) = stopped_while_mapping(host).await?;
    outcome?;
    lab.end().await
}

/// Stops and continues the VM again and again while its guest reads a file through new mappings.
/// Returns the outcome of the reading.
async fn stopped_while_mapping(host: &Host) -> Result<(Lab<'_>, Result<()>)> {
    let size = 96 * MIB;
    let plan = plan(size, &["--mem-slots"])?;
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
    if outcome.is_ok() {
        // The last stop may lack its cont.
        lab.vm().guest().qmp().await.cont().await?;
    }
    Ok((lab, outcome))
}

/// A known limit: QEMU does not start a device without CONFIGURE_MEM_SLOTS if its table does not
/// fit into one message. So a share hangs if its VM was paused with many ranges. A reset of the
/// guest repairs the share.
async fn a_stop_with_many_mappings(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let mut lab = stopped_with_many_mappings(host, &[]).await?;
    lab.daemon_says("hangs until the guest is reset").await?;
    // Existing mappings still work.
    lab.crash(Crash::SystemReset).await?;
    lab.mount(lab.first()).await?;
    let path = lab.first().in_guest("file");
    let verified = lab.verify(&path, MANY, Seed(1), How::Mmap).await;
    verified.context("after the reset")?;
    lab.end().await
}

/// With --mem-slots the share does not hang.
async fn a_stop_with_memory_slots(host: &Host) -> Result<()> {
    goes_on(stopped_with_many_mappings(host, &["--mem-slots"]).await?).await
}

/// Nor does it if mappings are no memory regions.
async fn a_qemu_with_one_region_may_stop_with_many_mappings(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    goes_on(stopped_with_many_mappings(host, &[]).await?).await
}

/// A guest with many mappings, whose VM was stopped and continued.
async fn stopped_with_many_mappings<'h>(host: &'h Host, daemon_args: &[&str]) -> Result<Lab<'h>> {
    let plan = plan(2 * MANY.len, daemon_args)?;
    let lab = host.boot(restarting(plan)).await?;
    let path = lab.first().in_guest("file");
    lab.verify(&path, MANY, Seed(1), How::Mmap).await?;
    let mut qmp = lab.vm().guest().qmp().await;
    qmp.stop().await?;
    qmp.cont().await?;
    drop(qmp);
    Ok(lab)
}

/// Old mappings work, and new ones.
async fn goes_on(lab: Lab<'_>) -> Result<()> {
    let path = lab.first().in_guest("file");
    let new = Part {
        offset: MANY.len,
        ..MANY
    };
    for (what, part) in [("after the stop", MANY), ("new mappings", new)] {
        let verified = lab.verify(&path, part, Seed(1), How::Mmap).await;
        verified.context(what)?;
    }
    lab.end().await
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process")?;
    Ok(kill_process(pid, signal)?)
}
