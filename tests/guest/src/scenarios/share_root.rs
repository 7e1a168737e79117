// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab share` with the host's programs in the guest, further shares, a network, and with a system
//! of the user's own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use qemu_guest::{artifacts::busybox, script};
use tokio::process::Command;

use crate::lab::{Host, ShareCase, Snapshot, told};
use crate::scenario::{Group, Tests};
use crate::tests;

pub const GROUP: Group = Group {
    name: "share_root",
    tests: Tests::Alone(tests![Alone: the_host_s_programs, further_shares, a_network, a_disk]),
};

/// The guest runs a program of the host's that its initramfs lacks. What it writes to the root is
/// gone afterwards, what it writes to the share is not.
async fn the_host_s_programs(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let here = Command::new("git").arg("--version").output().await?;
    let mark = format!("/etc/{}", case.name()?);
    let script = format!(
        "set -e; git --version; tty || :; hostname; echo x > {mark}; cat {mark}
        git init -q repository; git -C repository rev-parse --is-inside-work-tree
        exit 7"
    );
    let args = [case.dir()?, "--root", "host", "--", "sh", "-c", &script];
    let output = case.run(&args).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = String::from_utf8(here.stdout)?;
    let expected = format!("{version}not a tty\nguest\nx\ntrue\n");
    ensure!(said == expected, "{said:?}: {}", told(&output));
    ensure!(output.status.code() == Some(7), "{}", told(&output));
    ensure!(!fs::exists(&mark)?, "the guest wrote {mark} on the host");
    ensure!(fs::exists(case.on_host("repository/.git/HEAD"))?);

    let args = [case.dir()?, "--root", "host", "--", "no-such-program"];
    let output = case.run(&args).await?;
    ensure!(output.status.code() == Some(127), "{}", told(&output));
    case.expect_nothing_left().await
}

/// Each further share is at its place, with the options of all.
async fn further_shares(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let (open, closed) = (tempfile::tempdir()?, tempfile::tempdir()?);
    fs::write(closed.path().join("file"), "closed\n")?;
    let before = Snapshot::of(closed.path())?;
    let share = |tag: &str, dir: &tempfile::TempDir, end: &str| {
        format!("{tag}={}{end}", dir.path().display())
    };
    let (open_share, closed_share) = (share("a b", &open, ""), share("closed", &closed, ":ro"));
    let script = "cat /mnt/closed/file; echo open > '/mnt/a b/file'; touch /mnt/closed/new 2>&1
        touch /share/new; grep -c ' virtiofs ' /proc/mounts
        grep -o 'virtio[0-9]*-requests.*' /proc/interrupts | sort -u | wc -l";
    let args = [
        &[
            case.dir()?,
            "--share",
            &open_share,
            "--share",
            &closed_share,
        ][..],
        &["--queues", "2", "--daemon", "--cache never --xattr"],
        &["--verbose", "--", "sh", "-c", script],
    ];
    let output = case.run(&args.concat()).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}", told(&output));
    let lines: Vec<_> = said.lines().collect();
    let [file, refusal, shares, queues] = lines[..] else {
        anyhow::bail!("the guest said {said:?}: {}", told(&output));
    };
    ensure!(file == "closed" && shares == "3", "{said}");
    ensure!(refusal.ends_with("Read-only file system"), "{said}");
    ensure!(queues.parse::<u32>()? >= 2, "{queues} request queues");
    ensure!(fs::read_to_string(open.path().join("file"))? == "open\n");
    before.expect_same(&Snapshot::of(closed.path())?)?;

    // What the daemon makes of its options reaches the user.
    let args = [case.dir()?, "--daemon", "--no-such-option", "--", "true"];
    let output = case.run(&args).await?;
    ensure!(
        told(&output).contains("--no-such-option"),
        "{}",
        told(&output)
    );
    ensure!(output.status.code() == Some(125), "{}", told(&output));
    case.expect_nothing_left().await
}

/// The guest reaches a server of the host's.
async fn a_network(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let served = thread::spawn(move || -> Result<Vec<u8>> {
        let (mut client, _) = server.accept()?;
        client.write_all(b"from the host\n")?;
        client.shutdown(std::net::Shutdown::Write)?;
        let mut got = Vec::new();
        client.read_to_end(&mut got)?;
        Ok(got)
    });
    let line = format!("echo from the guest | nc 10.0.2.2 {port}");
    let args = [case.dir()?, "--net", "user", "--", "sh", "-c", &line];
    let output = case.run(&args).await?;
    ensure!(output.status.success(), "{}", told(&output));
    ensure!(output.stdout == b"from the host\n", "{}", told(&output));
    let got = served
        .join()
        .map_err(|_| anyhow!("the server panicked"))??;
    ensure!(got == b"from the guest\n", "the host got {got:?}");
    case.expect_nothing_left().await
}

/// A system on a disk mounts the share. What it writes to its disk stays there.
async fn a_disk(host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    fs::write(case.on_host("from-host"), "host\n")?;
    let tree = tempfile::tempdir()?;
    for folder in ["bin", "dev", "mnt", "sbin"] {
        fs::create_dir(tree.path().join(folder))?;
    }
    fs::copy(
        busybox::obtain(&host.parts.cache)?,
        tree.path().join("bin/busybox"),
    )?;
    symlink("busybox", tree.path().join("bin/sh"))?;
    let init = "PATH=/bin
        busybox mount -t virtiofs share /mnt
        busybox cp /mnt/from-host /mnt/from-guest
        busybox cp /mnt/from-host /kept
        busybox sync
        busybox poweroff -f";
    script::write(&tree.path().join("sbin/init"), init)?;
    let image = case.run_dir().with_extension("image");
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-d"])
        .arg(tree.path())
        .arg(&image)
        .arg("32M")
        .output()
        .await?;
    ensure!(made.status.success(), "mkfs.ext4: {}", told(&made));
    let path = image.to_str().ok_or_else(|| anyhow!("no UTF-8"))?;
    let args = [case.dir()?, "--disk", path, "--kernel", "build:6.12"];
    let output = case.run(&args).await?;
    ensure!(output.status.success(), "{}", told(&output));
    ensure!(fs::read_to_string(case.on_host("from-guest"))? == "host\n");
    let kept = Command::new("debugfs")
        .args(["-R", "cat /kept", path])
        .output()
        .await?;
    ensure!(kept.stdout == b"host\n", "{}", told(&kept));
    fs::remove_file(image)?;
    case.expect_nothing_left().await
}
