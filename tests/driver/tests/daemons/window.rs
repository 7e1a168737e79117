// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's rules, and a daemon that keeps to them. `src/vhost/channel/tests` shows without a
//! daemon that each rule has an effect.

use std::fs::File;

use anyhow::{Context, Result};
use virtiofs_driver::fuse::expect_errno;
use virtiofs_driver::vhost::ChannelEnd;
use virtiofs_driver::window::{
    Acknowledge, BeyondLimit, MainLoop, Rules, Told, Violation, WindowError,
};
use virtiofs_driver::{
    Body, Client, FileOffset, NodeId, Options, QueueIndex, Request, WindowOffset, daemon,
};

use crate::lease::Lease;
use crate::rig::{PATIENCE, RANGE, Rig, ruled_by};

/// Maps the first `count` ranges of a file over the first ranges of the window.
fn map(rig: &mut Rig, node: NodeId, count: u64) -> Result<(), virtiofs_driver::FuseError> {
    (0..count).try_for_each(|range| {
        let (from, at) = (FileOffset(range * RANGE), WindowOffset(range * RANGE));
        rig.client.setup_mapping(node, from, RANGE, at, true)
    })
}

/// A VM that counts its memory regions, with a daemon that has --mem-slots.
fn with_slots(rules: Rules) -> Result<Rig> {
    let arguments = ["--tag=share", "--dax-window=64M", "--mem-slots"];
    Rig::start_with(daemon::daxd()?, &ruled_by(rules), &arguments)
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
        // INIT has mapped scratch memory, which not every VMM permits.
        let (before, refused) = (window.stats().maps, window.violations());
        for _ in 0..3 {
            map(&mut rig, node, 16).with_context(|| format!("{rules:?}"))?;
            // The mapping is in effect when the request is answered, however late the VMM is.
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
        assert_eq!(window.violations(), refused);
        let stats = window.stats();
        assert_eq!((stats.maps - before, stats.most_mapped), (48, 16));
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

/// A guest may map single pages, so the window's size does not limit the number of regions.
#[test]
fn a_guest_has_as_many_ranges_as_linux_could_have() -> Result<()> {
    const PAGE: u64 = 4096;
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
    let mut map = |page: u64| {
        let at = WindowOffset(page * PAGE);
        rig.client
            .setup_mapping(node, FileOffset(0), PAGE, at, true)
    };
    let limit = window.size() / RANGE;
    (0..limit).try_for_each(&mut map)?;
    for page in limit..limit + 3 {
        expect_errno(map(page), libc::ENOBUFS, "one more than Linux could have")?;
    }
    map(0).context("it is there")?;
    rig.client
        .remove_mapping(node, &[(WindowOffset(0), PAGE)])?;
    let last = WindowOffset((limit + 3) * PAGE);
    rig.client
        .setup_mapping(node, FileOffset(0), PAGE, last, true)?;
    assert_eq!(window.mapped() as u64, limit);
    Ok(())
}

/// On the host a lease delays an open by up to 45 s.
#[test]
fn a_file_with_a_lease_holds_up_no_other() -> Result<()> {
    let mut rig = Rig::start(&Options {
        request_queues: 2,
        ..Options::default()
    })?;
    // The first file of a file system is opened in any case.
    let (other, _) = rig.file("other", b"content")?;
    let path = rig.daemon.share().join("leased");
    std::fs::write(&path, b"content")?;
    let lease = Lease::take(&path)?;
    let leased = rig.client.node("leased")?;
    let body = Body::setup_mapping(FileOffset(0), RANGE, WindowOffset(20 * RANGE), true);
    let mut client = Client::new(&mut rig.vm, QueueIndex::request(1))?;
    let waiting = client.pipeline();
    waiting.submit(&Request::new(leased, body))?;
    waiting.kick()?;
    lease.wait_until_wanted()?;
    map(&mut rig, other, 4)?;
    let early = waiting.poll()?;
    assert!(early.is_none(), "the lease did not hold it up: {early:?}");
    drop(lease);
    let completion = waiting.complete()?;
    assert!(completion.result.is_ok(), "{completion:?}");
    Ok(())
}

#[test]
fn a_vm_out_of_memory_regions_refuses_one_access() -> Result<()> {
    let rules = Rules {
        regions: 5,
        beyond_limit: BeyondLimit::Refuse,
        ..Rules::qemu()
    };
    let mut rig = with_slots(rules)?;
    let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
    map(&mut rig, node, 4)?;
    let error = map(&mut rig, node, 5).expect_err("there is memory, and four mappings");
    assert!(error.errno().is_some(), "{error}");
    assert_eq!(
        window.violations(),
        [Violation::TooManyRegions { regions: 6 }]
    );
    rig.unmap(node, 0)?;
    assert!(window.wait_until_settled(PATIENCE));
    assert_eq!(window.mapped(), 3);
    Ok(())
}

/// A device of the VM that supports only this many regions never gets more, whether or not the
/// daemon is told of the VM's regions. Eight are reserved for the VM's own memory.
#[test]
fn the_operator_s_limit_of_memory_regions_is_kept() -> Result<()> {
    for told in [Told::Each, Told::Nothing] {
        let options = ruled_by(Rules {
            told,
            ..Rules::qemu()
        });
        let arguments = ["--dax-window=64M", "--max-regions=12"];
        let mut rig = Rig::start_with(daemon::daxd()?, &options, &arguments)?;
        let (window, (node, _)) = (rig.window()?, rig.file("file", b"content")?);
        expect_errno(
            map(&mut rig, node, 32),
            libc::ENOBUFS,
            "32 ranges are too many",
        )?;
        assert_eq!(window.mapped(), 4, "of 12 regions 8 are not the window's");
        rig.unmap(node, 0)?;
        map(&mut rig, node, 1)?;
        assert_eq!(window.violations(), []);
    }
    Ok(())
}

#[test]
fn a_vm_with_too_many_memory_regions_is_gone() -> Result<()> {
    let rules = Rules {
        regions: 5,
        ..Rules::qemu()
    };
    let mut rig = with_slots(rules)?;
    let (node, _) = rig.file("file", b"content")?;
    map(&mut rig, node, 5).expect_err("the VM has been ended");
    assert!(rig.daemon.wait()?.success(), "{}", rig.daemon.log());
    assert!(!matches!(
        rig.vm.channel_end(),
        None | Some(ChannelEnd::Open)
    ));
    Ok(())
}

/// The check can fail: it detects the errors of a daemon that lacks a safeguard.
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
