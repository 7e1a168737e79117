// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stock kernels get their window, whatever kernel the run's other guests have.

use anyhow::Result;
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::artifacts::KernelSpec;

use crate::lab::{Boot, Host, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (7 << 20) + 11;

pub const GROUP: Group = Group {
    name: "kernels",
    tests: Tests::Alone(tests![Alone: debian_6_1, debian_latest]),
};

async fn debian_6_1(host: &Host) -> Result<()> {
    window_works(host, "debian:6.1".parse()?).await
}

async fn debian_latest(host: &Host) -> Result<()> {
    window_works(host, "debian:latest".parse()?).await
}

async fn window_works(host: &Host, kernel: KernelSpec) -> Result<()> {
    let plan = Plan::new("kernel")?
        .content(|dir| access::fill(&dir.join("file"), Part::first(SIZE), Seed(5), How::Syscall))?;
    let lab = host.boot(Boot::with(plan).kernel(kernel)).await?;
    let path = lab.first().in_guest("file");
    lab.expect_dax(&path).await?;
    for how in [How::Syscall, How::Mmap] {
        lab.verify(&path, Part::first(SIZE), Seed(5), how).await?;
    }
    lab.end().await
}
