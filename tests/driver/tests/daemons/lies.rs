// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM that behaves well when the daemon tests it at INIT, and misbehaves afterwards. It can harm
//! its own guest only. The daemon continues to serve, and files that the share protects stay
//! unchanged.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use virtiofs_driver::window::{
    Acknowledge, Action, CallKind, EmptyFile, Gate, MainLoop, ReadOnly, Rules, Told, WindowError,
};
use virtiofs_driver::{
    FileOffset, FuseError, GuestSpan, Handle, NodeId, Script, WindowOffset, daemon,
};

use crate::rig::{PATIENCE, RANGE, Rig, pattern, ruled_by};

/// A file of the share that no request touches.
const BYSTANDER: &str = "bystander";
/// Files are mapped directly: here in a writable share, and with `TO_READ` in a read-only one.
const PLAIN: [&str; 2] = ["--dax=always", "--fault=views=direct"];
const TO_READ: [&str; 2] = ["--dax=always", "--readonly"];

/// A VMM that has behaved well so far, and a daemon that has detected its behaviour.
struct Trusted {
    rig: Rig,
    bystander: Vec<u8>,
}

impl Trusted {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut all = vec!["--dax-window=64M"];
        all.extend(arguments);
        let rules = Rules {
            // A separate thread, so that a test can hold the channel and go on otherwise.
            main_loop: MainLoop::Separate,
            ..Rules::one_region()
        };
        let rig = Rig::start_with(daemon::daxd()?, &ruled_by(rules), &all)?;
        let log = rig.daemon.log();
        ensure!(log.contains("nothing more is asked"), "not trusted: {log}");
        let bystander = pattern(RANGE as usize);
        fs::write(rig.daemon.share().join(BYSTANDER), &bystander)?;
        Ok(Self { rig, bystander })
    }

    /// The VMM lies from here on: it applies these rules.
    fn lies(&self, rules: Rules) {
        self.rig.vm.change_rules(rules);
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Result<NodeId> {
        fs::write(self.rig.daemon.share().join(name), content)?;
        Ok(self.rig.client.node(name)?)
    }

    fn map(&mut self, node: NodeId, at: u64, write: bool) -> Result<(), FuseError> {
        let at = WindowOffset(at * RANGE);
        let client = &mut self.rig.client;
        client.setup_mapping(node, FileOffset(0), RANGE, at, write)
    }

    fn unmap(&mut self, node: NodeId, at: u64) -> Result<(), FuseError> {
        self.rig.unmap(node, at)
    }

    fn host(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.rig.daemon.share().join(name))?)
    }

    /// The bytes that a WRITE from the beginning of a range puts into another file.
    fn written_from(&mut self, at: u64) -> Result<Vec<u8>> {
        let into = self.file("into", b"")?;
        let client = &mut self.rig.client;
        let handle = Handle(client.open(into, libc::O_RDWR)?.fh);
        let from = GuestSpan {
            addr: self.rig.vm.window_address(WindowOffset(at * RANGE)),
            len: 64,
        };
        let client = &mut self.rig.client;
        let wrote = client.write(into, handle, FileOffset(0), from);
        client.release(into, handle)?;
        wrote?;
        self.host("into")
    }

    /// Checks that the daemon still serves, that the other file is unchanged, and that the daemon
    /// ends normally.
    fn ends_well(mut self) -> Result<()> {
        let entry = self.rig.client.lookup(NodeId::ROOT, BYSTANDER)?;
        let node = NodeId(entry.nodeid);
        let handle = Handle(self.rig.client.open(node, libc::O_RDONLY)?.fh);
        let client = &mut self.rig.client;
        let read = client.read_vec(node, handle, FileOffset(0), 4096)?;
        ensure!(read == self.bystander[..4096], "read by FUSE");
        ensure!(self.host(BYSTANDER)? == self.bystander, "changed");
        self.rig.vm.disconnect();
        let status = self.rig.daemon.wait()?;
        let log = self.rig.daemon.log();
        ensure!(
            status.success() && !log.contains("panicked"),
            "{status}: {log}"
        );
        Ok(())
    }
}

/// The rules of a VMM that grows files to the size of their mappings.
fn grows() -> Rules {
    Rules {
        empty_file: EmptyFile::Grow,
        ..Rules::one_region()
    }
}

#[test]
fn a_vmm_that_resizes_files_resizes_those_that_its_guest_may_write() -> Result<()> {
    let mut vm = Trusted::start(&PLAIN)?;
    vm.lies(grows());
    let node = vm.file("empty", b"")?;
    vm.map(node, 0, true)?;
    // The VMM has a descriptor that is open for writing. Its guest could have changed the file as
    // well.
    ensure!(vm.host("empty")?.len() as u64 == RANGE, "it did not lie");
    vm.ends_well()?;

    let mut vm = Trusted::start(&TO_READ)?;
    vm.lies(grows());
    let node = vm.file("empty", b"")?;
    vm.map(node, 0, false).expect_err("it can't be resized");
    ensure!(
        vm.host("empty")?.is_empty(),
        "a read-only share's file grew"
    );
    vm.ends_well()
}

#[test]
fn a_vmm_that_answers_too_early_shows_holes_to_its_own_guest() -> Result<()> {
    for arguments in [&["--dax=always"][..], &PLAIN] {
        let mut vm = Trusted::start(arguments)?;
        vm.lies(Rules {
            acknowledge: Acknowledge::BeforeEffect,
            ..Rules::one_region()
        });
        let node = vm.file("file", &[7; 4096])?;
        let gate = Gate::new();
        let late = Script::once(CallKind::Map, 0, Action::HoldEffect(gate.clone()));
        vm.rig.vm.set_script(late);
        vm.map(node, 0, true)?;
        let reached = gate.wait_until_reached(PATIENCE);
        ensure!(reached, "no SHMEM_MAP within {PATIENCE:?}");
        let window = vm.rig.window()?;
        let seen = window.read(WindowOffset(0), &mut [0]);
        ensure!(
            matches!(seen, Err(WindowError::Hole { .. })),
            "it did not lie: {seen:?}"
        );
        // All other requests are served meanwhile.
        ensure!(vm.rig.client.getattr(node, None)?.size == 4096);
        ensure!(vm.written_from(0)? == [7; 64], "the file's own bytes");
        gate.open();
        ensure!(window.wait_until_settled(PATIENCE));
        let mut byte = [0];
        window.read(WindowOffset(0), &mut byte)?;
        ensure!(byte == [7]);
        vm.ends_well()?;
    }
    Ok(())
}

#[test]
fn a_vmm_that_maps_for_writing_gets_nothing_to_write_to() -> Result<()> {
    let mut vm = Trusted::start(&TO_READ)?;
    let content = pattern(RANGE as usize);
    let node = vm.file("file", &content)?;
    vm.map(node, 0, false).context("while it behaves")?;
    vm.unmap(node, 0)?;
    vm.lies(Rules {
        read_only: ReadOnly::MapWritable,
        ..Rules::one_region()
    });
    let refused = vm.map(node, 1, false).expect_err("the kernel refuses");
    ensure!(refused.errno().is_some(), "{refused}");
    ensure!(vm.host("file")? == content);
    vm.ends_well()
}

#[test]
fn a_vmm_that_drops_mappings_drops_its_own_guest_s() -> Result<()> {
    for arguments in [&["--dax=always"][..], &PLAIN, &TO_READ] {
        let mut vm = Trusted::start(arguments)?;
        let node = vm.file("file", &[7; 4096])?;
        // The VMM claims to have mapped, and has not.
        let says_so = Script::once(CallKind::Map, 0, Action::Answer(0));
        vm.rig.vm.set_script(says_so);
        vm.map(node, 0, false)?;
        ensure!(vm.rig.window()?.mapped() == 0, "it did not lie");
        vm.unmap(node, 0).context("nothing to remove")?;
        // The VMM claims to have unmapped, and has not. The range can't be used any more.
        vm.map(node, 1, false)?;
        let says_so = Script::once(CallKind::Unmap, 0, Action::Answer(0));
        vm.rig.vm.set_script(says_so);
        vm.unmap(node, 1)?;
        ensure!(vm.rig.window()?.mapped() == 1, "it did not lie");
        vm.map(node, 1, false).expect_err("its own rules refuse");
        vm.map(node, 2, false).context("others can be had")?;
        vm.ends_well()?;
    }
    Ok(())
}

/// Requests with buffers in the window use the mappings that this daemon has made.
#[test]
fn a_vmm_that_tells_stale_tables_gives_no_other_file_s_bytes() -> Result<()> {
    for slots in [&[][..], &["--mem-slots"]] {
        let mut arguments = PLAIN.to_vec();
        arguments.extend(slots);
        let mut vm = Trusted::start(&arguments)?;
        let (old, new) = (vm.file("old", &[1; 4096])?, vm.file("new", &[2; 4096])?);
        vm.lies(Rules {
            told: Told::Each,
            ..Rules::one_region()
        });
        vm.map(old, 3, true)?;
        ensure!(vm.written_from(3)? == [1; 64]);
        // The VMM's table keeps the range that is gone.
        vm.lies(Rules {
            told: Told::Nothing,
            ..Rules::one_region()
        });
        vm.unmap(old, 3)?;
        vm.written_from(3).expect_err("nothing is mapped there");
        ensure!(vm.host("into")?.is_empty(), "bytes of a range that is gone");
        vm.map(new, 3, true)?;
        ensure!(vm.written_from(3)? == [2; 64], "{slots:?}: another file's");
        vm.ends_well()?;
    }
    Ok(())
}

/// A fence is a request that fails. Nothing is known of a VMM in which it succeeds.
#[test]
fn a_fence_that_succeeds_is_no_fence() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (node, _) = rig.file("file", b"content")?;
    let succeeds = Script::once(CallKind::Fence, 0, Action::Answer(0));
    rig.vm.set_script(succeeds);
    let mapped = rig.map(node, 0);
    mapped.expect_err("nothing shows that the mapping is in effect");
    Ok(())
}
