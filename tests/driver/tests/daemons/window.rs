// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's rules, as a daemon that keeps to them meets them. That each bites is shown without a
//! daemon, in `src/vhost/channel_tests`.

use std::fs::File;

use anyhow::{Context, Result};
use virtiofs_driver::vhost::ChannelEnd;
use virtiofs_driver::window::{Acknowledge, BeyondLimit, MainLoop, Rules, Violation, WindowError};
use virtiofs_driver::{FileOffset, NodeId, Options, WindowOffset, daemon};

use crate::rig::{PATIENCE, RANGE, Rig};

/// Maps the first `count` ranges of a file over the first ranges of the window.
fn map(rig: &mut Rig, node: NodeId, count: u64) -> Result<(), virtiofs_driver::FuseError> {
    (0..count).try_for_each(|range| {
        let (from, at) = (FileOffset(range * RANGE), WindowOffset(range * RANGE));
        rig.client.setup_mapping(node, from, RANGE, at, true)
    })
}

#[test]
fn the_daemon_keeps_to_all_kinds_of_rules() -> Result<()> {
    let after = Rules {
        acknowledge: Acknowledge::AfterEffect,
        main_loop: MainLoop::Separate,
        ..Rules::qemu()
    };
    for rules in [Rules::qemu(), Rules::strict(), Rules::lenient(), after] {
        let mut rig = Rig::with_rules(rules)?;
        let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
        for _ in 0..3 {
            map(&mut rig, node, 16).with_context(|| format!("{rules:?}"))?;
            // In effect when it is answered, however late the VMM is.
            let mut bytes = [0; 7];
            window.read(WindowOffset(0), &mut bytes)?;
            assert_eq!((&bytes, window.mapped()), (b"content", 16));
            let ranges: Vec<_> = (0..16)
                .map(|at| (WindowOffset(at * RANGE), RANGE))
                .collect();
            rig.client.remove_mapping(node, &ranges)?;
            assert!(window.wait_until_settled(PATIENCE));
            assert_eq!(window.mapped(), 0);
        }
        assert_eq!(window.violations(), []);
        assert_eq!((window.stats().maps, window.stats().most_mapped), (48, 16));
    }
    Ok(())
}

#[test]
fn a_file_keeps_its_size_although_the_vmm_would_grow_it() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (node, _) = rig.file("empty", b"")?;
    map(&mut rig, node, 1)?;
    let size = rig.daemon.share().join("empty").metadata()?.len();
    assert_eq!((size, rig.window()?.violations()), (0, vec![]));
    Ok(())
}

#[test]
fn holes_and_lost_pages_are_errors() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
    map(&mut rig, node, 1)?;
    let read = |at| window.read(WindowOffset(at), &mut [0]);
    read(0)?;
    assert!(
        matches!(read(4096), Err(WindowError::LostPage { .. })),
        "beyond the file"
    );
    assert!(matches!(read(RANGE), Err(WindowError::Hole { .. })));
    assert!(matches!(read(64 << 20), Err(WindowError::Outside { .. })));
    File::options()
        .write(true)
        .open(rig.daemon.share().join("file"))?
        .set_len(0)?;
    assert!(
        matches!(read(0), Err(WindowError::LostPage { .. })),
        "truncated"
    );
    Ok(())
}

#[test]
fn a_vm_out_of_memory_regions_refuses_one_access() -> Result<()> {
    let rules = Rules {
        regions: 5,
        beyond_limit: BeyondLimit::Refuse,
        ..Rules::qemu()
    };
    let mut rig = Rig::with_rules(rules)?;
    let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
    map(&mut rig, node, 4)?;
    let error = map(&mut rig, node, 5).expect_err("there is memory, and four mappings");
    assert!(error.errno().is_some(), "{error}");
    assert_eq!(
        window.violations(),
        [Violation::TooManyRegions { regions: 6 }]
    );
    rig.client
        .remove_mapping(node, &[(WindowOffset(0), RANGE)])?;
    assert!(window.wait_until_settled(PATIENCE));
    assert_eq!(window.mapped(), 3);
    Ok(())
}

#[test]
fn a_vm_with_too_many_memory_regions_is_gone() -> Result<()> {
    let rules = Rules {
        regions: 5,
        ..Rules::qemu()
    };
    let mut rig = Rig::with_rules(rules)?;
    let (node, _) = rig.file("file", b"content")?;
    map(&mut rig, node, 5).expect_err("the VM has been ended");
    assert!(rig.daemon.wait()?.success(), "{}", rig.daemon.log());
    assert!(!matches!(
        rig.vm.channel_end(),
        None | Some(ChannelEnd::Open)
    ));
    Ok(())
}

/// The oracle: what a daemon does wrong without a safeguard is seen.
#[test]
fn a_daemon_without_a_safeguard_is_caught() -> Result<()> {
    let start = |fault: &str| {
        let arguments = ["--dax-window=64M", "--fault", fault];
        Rig::start_with(daemon::daxd()?, &Options::default(), &arguments)
    };
    let mut rig = start("views=direct")?;
    let (node, _) = rig.file("file", b"content")?;
    map(&mut rig, node, 1).expect_err("the file is too small");
    let (size, needed) = (7, RANGE);
    assert_eq!(
        rig.window()?.violations(),
        [Violation::TooSmall { size, needed }]
    );
    Ok(())
}
