// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the options of `daxlab share` change, as seen from the guest.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use qemu_guest::script;

use crate::lab::{Host, ShareCase, Snapshot, told};
use crate::scenario::{Group, Tests};
use crate::tests;

pub const GROUP: Group = Group {
    name: "share_options",
    tests: Tests::Alone(tests![Alone: the_guest_s_own, no_dax, read_only]),
};

/// Memory without the kernel's own, in KiB: a guest of 512 MiB has at least the lower bound, and a
/// guest of the default size has more than the upper bound.
const MEMORY: std::ops::Range<u64> = 350_000..524_288;

async fn the_guest_s_own(host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let used = case.run_dir().join("used");
    let qemu = case.run_dir().join("qemu");
    let line = host.parts.qemu_line();
    let text = format!(": >'{}'\nexec {line} \"$@\"", used.display());
    script::write(&qemu, &text)?;
    let kernel = host.parts_with("debian:6.12".parse()?)?.kernel;
    let modules = kernel
        .modules_dir
        .as_deref()
        .context("Debian's kernel has modules")?;
    let text = |path: &std::path::Path| path.to_str().map(str::to_owned).context("no UTF-8");
    let script = "nproc; sed -n 's/^MemTotal: *//p' /proc/meminfo; uname -r
        grep ' /share ' /proc/mounts; dmesg | grep 'Cache len'";
    let args = [
        &[
            case.dir()?,
            "--verbose",
            "--window",
            "16M",
            "--memory",
            "512M",
            "--cpus",
            "3",
        ][..],
        &["--tag", "other", "--accel", "tcg", "--qemu", &text(&qemu)?],
        &[
            "--kernel",
            &text(&kernel.image)?,
            "--modules",
            &text(modules)?,
        ],
        &["--", "sh", "-c", script],
    ];
    let output = case.run(&args.concat()).await?;
    let said = told(&output);
    ensure!(output.status.success(), "{said}");
    let stdout = String::from_utf8(output.stdout)?;
    let lines: Vec<_> = stdout.lines().collect();
    let [cpus, memory, release, mount, window] = lines[..] else {
        anyhow::bail!("the guest said {stdout:?}");
    };
    ensure!(cpus == "3", "--cpus: {cpus}");
    let memory = memory.trim_end_matches(" kB").parse()?;
    ensure!(MEMORY.contains(&memory), "--memory: {memory} KiB");
    ensure!(release == kernel.release, "--kernel: {release}");
    ensure!(
        mount.starts_with("other /share virtiofs "),
        "--tag: {mount}"
    );
    ensure!(
        window.contains("Cache len: 0x1000000 "),
        "--window: {window}"
    );
    ensure!(said.contains("under TCG"), "--accel: {said}");
    ensure!(said.contains(&text(&kernel.image)?), "--kernel: {said}");
    ensure!(used.exists(), "--qemu: the program was not used");
    fs::remove_file(used)?;
    fs::remove_file(qemu)?;
    case.expect_nothing_left().await
}

async fn no_dax(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    fs::write(case.on_host("file"), "from the host\n")?;
    let script = "cat file; echo guest > made; dmesg | grep -c 'Cache len'; exit 0";
    let output = case
        .run(&[case.dir()?, "--no-dax", "--", "sh", "-c", script])
        .await?;
    ensure!(output.status.success(), "{}", told(&output));
    let stdout = String::from_utf8(output.stdout)?;
    ensure!(stdout == "from the host\n0\n", "the guest said {stdout:?}");
    let made = fs::read_to_string(case.on_host("made"))?;
    ensure!(made == "guest\n", "the guest wrote {made:?}");
    case.expect_nothing_left().await
}

async fn read_only(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    fs::write(case.on_host("file"), "from the host\n")?;
    let before = Snapshot::of(&case.on_host(""))?;
    let script = "cat file; echo x 2>&1 >> file; echo x 2>&1 > new; rm -f file 2>&1
        dmesg | grep -c 'Cache len'; exit 0";
    let output = case
        .run(&[case.dir()?, "--read-only", "--", "sh", "-c", script])
        .await?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}", told(&output));
    ensure!(
        stdout.starts_with("from the host\n") && stdout.ends_with("\n0\n"),
        "the guest said {stdout:?}"
    );
    ensure!(
        told(&output).matches("Read-only file system").count()
            + stdout.matches("Read-only file system").count()
            == 3,
        "not three refusals: {stdout:?}, {}",
        told(&output)
    );
    before.expect_same(&Snapshot::of(&case.on_host(""))?)?;
    case.expect_nothing_left().await
}
