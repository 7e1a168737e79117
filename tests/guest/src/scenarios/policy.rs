// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which files are in DAX mode on a plain mount.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use guest_agent::access::{self, HashFile, How};
use qemu_guest::script;
use qemu_guest::vm::process::{Dax, Share};

use crate::lab::{Boot, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

pub const GROUP: Group = Group {
    name: "policy",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            by_size,
            never,
            a_program_that_runs_on_the_host_can_be_read,
            a_file_that_is_frozen_after_a_look_can_be_read,
            the_mount_option_overrules_the_policy,
        ],
    },
};

fn boot() -> Result<Boot> {
    let inode = Plan::new("inode")?
        .set(|share| Share {
            dax: Dax::Inode,
            ..share
        })
        .daemon_args(&["--dax-min-size", "64K"]);
    let never = Plan::new("never")?.set(|share| Share {
        dax: Dax::Never,
        ..share
    });
    let always = Plan::new("always")?;
    let option = Plan::new("option")?
        .set(|share| Share {
            dax: Dax::Inode,
            ..share
        })
        .mount_options("dax=always");
    Ok(Boot::with(inode).and(never).and(always).and(option))
}

async fn by_size(lab: &Lab<'_>) -> Result<()> {
    let share = lab.share("inode");
    fs::write(share.on_host("small"), vec![1; 65_535])?;
    fs::write(share.on_host("large"), vec![1; 65_536])?;
    let small = lab.uses_dax(&share.in_guest("small")).await?;
    ensure!(!small, "a file below the limit is in DAX mode");
    lab.expect_dax(&share.in_guest("large")).await
}

async fn never(lab: &Lab<'_>) -> Result<()> {
    let share = lab.share("never");
    fs::write(share.on_host("large"), vec![7; 1 << 20])?;
    let path = share.in_guest("large");
    ensure!(!lab.uses_dax(&path).await?, "{path} is in DAX mode");
    let count = lab.sh(&format!("tr -d '\\007' < {path} | wc -c")).await?;
    ensure!(count == "0", "{count} bytes of {path} are wrong");
    Ok(())
}

/// Linux refuses to open a running program for writing. So the program can't be mapped, but it can
/// be read. The guest learns of that when it opens the file.
async fn a_program_that_runs_on_the_host_can_be_read(lab: &Lab<'_>) -> Result<()> {
    let share = lab.share("always");
    let program = share.on_host("program");
    script::copy(Path::new("/bin/sleep"), &program)?;
    let mut running = tokio::process::Command::new(&program)
        .arg("infinity")
        .kill_on_drop(true)
        .spawn()?;
    let path = share.in_guest("program");
    let hash_file = HashFile {
        path: path.clone().into(),
        how: How::Mmap,
    };
    let seen = lab.op(hash_file).await?;
    ensure!(!lab.uses_dax(&path).await?, "{path} is in DAX mode");
    let hash = access::hash(&program, How::Syscall)?;
    ensure!(seen == hash, "the guest read {seen:?}");
    running.kill().await?;
    Ok(())
}

/// The guest holds an inode that uses DAX. Without a new inode it could read no page of the file.
async fn a_file_that_is_frozen_after_a_look_can_be_read(lab: &Lab<'_>) -> Result<()> {
    let share = lab.share("inode");
    let file = share.on_host("frozen");
    fs::write(&file, vec![7; 1 << 20])?;
    let path = share.in_guest("frozen");
    lab.expect_dax(&path).await?;
    let chattr = |flag: &str| {
        let done = std::process::Command::new("chattr")
            .arg(flag)
            .arg(&file)
            .status();
        ensure!(done?.success(), "chattr {flag}");
        Ok(())
    };
    chattr("+i")?;
    let count = lab.sh(&format!("tr -d '\\007' < {path} | wc -c")).await;
    chattr("-i")?;
    ensure!(count? == "0", "other bytes");
    ensure!(!lab.uses_dax(&path).await?, "{path} is in DAX mode");
    Ok(())
}

async fn the_mount_option_overrules_the_policy(lab: &Lab<'_>) -> Result<()> {
    let share = lab.share("option");
    fs::write(share.on_host("small"), "small")?;
    let path = share.in_guest("small");
    lab.expect_dax(&path).await?;
    let text = lab.sh(&format!("cat {path}")).await?;
    ensure!(text == "small", "the guest read {text:?}");
    Ok(())
}
