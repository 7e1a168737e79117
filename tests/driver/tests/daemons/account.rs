// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The resource accounts of a daemon's processes.

use anyhow::{Context, Result};
use virtiofs_driver::{Body, FileOffset, NodeId, Options, Request, daemon};

use crate::rig::{RANGE, Rig, daemons};

#[test]
fn work_costs_time_and_shows_where() -> Result<()> {
    for daemon in daemons()? {
        let mut rig = Rig::start_with(daemon, &Options::default(), &[])?;
        let before = rig.daemon.usage();
        assert!(before.0.len() > 1, "{before:?}");
        assert!(before.pss() > 0 && before.pss() <= before.rss() && before.private() > 0);
        assert!(before.descriptors() > 0 && before.mappings() > 0);
        assert!(before.threads() >= before.0.len());
        for _ in 0..1000 {
            rig.client.getattr(NodeId::ROOT, None)?;
        }
        let after = rig.daemon.usage();
        assert!(after.cpu() > before.cpu());
        let serves = rig.daemon.busiest().context("it runs")?;
        let (was, is) = (before.of(serves.pid), after.of(serves.pid));
        let spent = is.context("it runs")?.cpu - was.context("it ran")?.cpu;
        assert!(
            spent > (after.cpu() - before.cpu()) / 2,
            "{spent:?} of {after:?}"
        );
    }
    Ok(())
}

#[test]
fn an_open_file_is_a_descriptor_and_a_mapping_a_mapping() -> Result<()> {
    let arguments = ["--dax-window=64M", "--mem-slots"];
    let mut rig = Rig::start_with(daemon::daxd()?, &Options::default(), &arguments)?;
    let (node, _) = rig.file("file", b"content")?;
    let before = rig.daemon.usage();
    for _ in 0..10 {
        rig.client.open(node, libc::O_RDONLY)?;
    }
    let opened = rig.daemon.usage();
    assert_eq!(opened.descriptors(), before.descriptors() + 10);
    for range in 0..8 {
        let at = range * RANGE;
        let body = Body::setup_mapping(
            FileOffset(at),
            RANGE,
            virtiofs_driver::WindowOffset(at),
            true,
        );
        rig.client.pipeline().submit(&Request::new(node, body))?;
        rig.client.pipeline().complete()?.result?;
    }
    // For the VMM's ADD_MEM_REG the daemon also maps each of them.
    assert!(rig.daemon.usage().mappings() >= opened.mappings() + 8);
    Ok(())
}
