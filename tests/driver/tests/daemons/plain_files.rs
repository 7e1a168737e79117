// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files that are mapped directly, by a VMM that leaves them unchanged. With another VMM they are
//! not mapped at all. The daemon can't make views of files, because it runs as an ordinary user, or
//! because the share is read-only.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use anyhow::{Context as _, Result, ensure};
use fuse_backend_rs::abi::fuse_abi::{InHeader, Opcode};
use rustix::fs::OFlags;
use virtiofs_driver::fuse::expect_errno;
use virtiofs_driver::window::{EmptyFile, ReadOnly, Rules};
use virtiofs_driver::{
    Body, FileOffset, FuseError, GuestSpan, Handle, NodeId, Options, QueueIndex, WindowOffset,
    daemon,
};
use vm_memory_017::ByteValued as _;

use crate::promises::{Mount, run};
use crate::rig::{ATTR_DAX, PATIENCE, RANGE, Rig, command, pattern, ruled_by};

/// A user without privileges.
const NOBODY: u32 = 65534;
/// Length in bytes of a file that does not end at a page's edge.
const ODD: usize = 5_000_001;

fn unprivileged(sandbox: &str, rules: Rules) -> Result<Rig> {
    let daemon = command()?
        .args(["--dax-window=64M", "--dax=always", sandbox])
        .arg("--inode-file-handles=never")
        .user(NOBODY)
        .start()?;
    Rig::on(daemon, &ruled_by(rules))
}

/// Makes a file of the daemon's user. Returns whether the daemon promises that it can be mapped.
fn file(rig: &mut Rig, name: &str, content: &[u8]) -> Result<(NodeId, bool)> {
    let path = rig.daemon.share().join(name);
    fs::write(&path, content)?;
    chown(path, Some(NOBODY), Some(NOBODY))?;
    let entry = rig.client.lookup(NodeId::ROOT, name)?;
    Ok((NodeId(entry.nodeid), entry.attr.flags & ATTR_DAX != 0))
}

#[test]
fn an_ordinary_user_s_daemon_has_a_window_where_the_vmm_leaves_files_as_they_are() -> Result<()> {
    for sandbox in ["--sandbox=none", "--sandbox=namespace"] {
        let mut rig = unprivileged(sandbox, Rules::one_region())?;
        let mut content = pattern(ODD);
        let (odd, promised) = file(&mut rig, "odd", &content)?;
        let (empty, also) = file(&mut rig, "empty", b"")?;
        ensure!(promised && also, "{sandbox}: {}", rig.daemon.log());
        let window = rig.window()?;
        let client = &mut rig.client;
        for range in 0..ODD.div_ceil(RANGE as usize) as u64 {
            let at = range * RANGE;
            client.setup_mapping(odd, FileOffset(at), RANGE, WindowOffset(at), true)?;
        }
        client.setup_mapping(empty, FileOffset(0), RANGE, WindowOffset(8 * RANGE), true)?;
        let mut seen = vec![0; ODD];
        window.read(WindowOffset(0), &mut seen)?;
        ensure!(seen == content, "{sandbox}: other bytes in the window");
        window.write(WindowOffset(RANGE + 3), b"stored")?;
        content[RANGE as usize + 3..][..6].copy_from_slice(b"stored");
        let host = |name| fs::read(rig.daemon.share().join(name));
        ensure!(
            host("odd")? == content,
            "{sandbox}: other bytes on the host"
        );
        ensure!(host("empty")?.is_empty(), "{sandbox}: the file has grown");
        ensure!(window.violations().is_empty(), "{:?}", window.violations());
        let log = rig.daemon.log();
        ensure!(log.contains("the VMM maps files as they are"), "{log}");
    }
    Ok(())
}

#[test]
fn nothing_is_mapped_by_a_vmm_that_needs_views_where_there_are_none() -> Result<()> {
    let refuses = Rules {
        empty_file: EmptyFile::Leave,
        ..Rules::qemu()
    };
    for rules in [Rules::qemu(), refuses] {
        let mut rig = unprivileged("--sandbox=none", rules)?;
        let (whole, promised) = file(&mut rig, "whole", &pattern(RANGE as usize))?;
        let (empty, also) = file(&mut rig, "empty", b"")?;
        ensure!(!promised && !also, "promised: {}", rig.daemon.log());
        let (mapped, client) = (rig.vm.window().map(|it| it.stats().maps), &mut rig.client);
        for node in [whole, empty] {
            expect_errno(
                client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), true),
                libc::ENOBUFS,
                "no view of it",
            )?;
        }
        let now = rig.vm.window().map(|it| it.stats().maps);
        ensure!(mapped == now, "the VMM was asked to map a file");
        ensure!(
            fs::metadata(rig.daemon.share().join("empty"))?.len() == 0,
            "grown"
        );
        let log = rig.daemon.log();
        ensure!(log.contains("no DAX: this VMM changes"), "{log}");
    }
    Ok(())
}

fn read_only(rules: Rules) -> Result<Rig> {
    let arguments = ["--readonly", "--dax-window=64M", "--dax=always"];
    Rig::start_with(daemon::daxd()?, &ruled_by(rules), &arguments)
}

#[test]
fn a_guest_of_a_read_only_share_can_load_and_never_store() -> Result<()> {
    let mut rig = read_only(Rules::one_region())?;
    let content = pattern(ODD);
    let (odd, promised) = file(&mut rig, "odd", &content)?;
    let (other, _) = file(&mut rig, "other", &[7; 8192])?;
    ensure!(promised, "{}", rig.daemon.log());
    let (window, client) = (rig.window()?, &mut rig.client);
    let mut map =
        |at: u64, write| client.setup_mapping(odd, FileOffset(at), RANGE, WindowOffset(at), write);
    expect_errno(map(0, true), libc::EACCES, "a mapping to store through")?;
    for at in [0, RANGE, 2 * RANGE] {
        map(at, false)?;
        let mapping = window.mapping_at(WindowOffset(at)).context("mapped")?;
        ensure!(!mapping.writable, "asked for a writable mapping");
        let access = rustix::fs::fcntl_getfl(&mapping.file)? & OFlags::ACCMODE;
        ensure!(access == OFlags::RDONLY, "handed out with {access:?}");
    }
    expect_errno(map(0, true), libc::EACCES, "an upgrade to store through")?;
    let mut seen = vec![0; ODD];
    window.read(WindowOffset(0), &mut seen)?;
    ensure!(seen == content, "other bytes in the window");
    no_transfer_into_the_window(&mut rig, other)?;
    let host = fs::read(rig.daemon.share().join("odd"))?;
    ensure!(host == content, "the guest has changed the file");
    Ok(())
}

/// The transfer of a device into the window, which a hostile driver can request.
fn no_transfer_into_the_window(rig: &mut Rig, from: NodeId) -> Result<()> {
    let into = GuestSpan {
        addr: rig.vm.window_address(WindowOffset(0)),
        len: 4096,
    };
    let handle = Handle(rig.client.open(from, libc::O_RDONLY)?.fh);
    let read = rig.client.read(from, handle, FileOffset(0), into);
    let what = "a transfer into a file that is only to be read";
    Ok(expect_errno(read, libc::EIO, what)?)
}

/// A share with a mapped file, and with other files whose bytes a hostile driver has sent into the
/// mapped one.
struct Target {
    rig: Rig,
    content: Vec<u8>,
    other: NodeId,
    link: NodeId,
}

/// The result of a reply into the mapped file.
struct Replied {
    kind: &'static str,
    outcome: Result<(), FuseError>,
    /// The bytes of the file after the reply.
    file: Vec<u8>,
}

impl Target {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut all = vec!["--dax-window=64M", "--dax=always"];
        all.extend(arguments);
        let options = Options {
            request_queues: 2,
            ..ruled_by(Rules::one_region())
        };
        let mut rig = Rig::start_with(daemon::daxd()?, &options, &all)?;
        let content = pattern(RANGE as usize);
        let (mapped, promised) = file(&mut rig, "mapped", &content)?;
        ensure!(promised, "{}", rig.daemon.log());
        let (other, _) = file(&mut rig, "other", &[7; 4096])?;
        symlink("a place", rig.daemon.share().join("link"))?;
        let link = rig.client.node("link")?;
        let client = &mut rig.client;
        let write = !arguments.contains(&"--readonly");
        client.setup_mapping(mapped, FileOffset(0), RANGE, WindowOffset(0), write)?;
        Ok(Self {
            rig,
            content,
            other,
            link,
        })
    }

    /// Requests a reply into the mapped file, one of each kind with bulk data or another payload.
    /// The file is restored after each.
    fn replies(&mut self) -> Result<Vec<Replied>> {
        let client = &mut self.rig.client;
        let file = Handle(client.open(self.other, libc::O_RDONLY)?.fh);
        let folder = Handle(client.opendir(NodeId::ROOT)?.fh);
        let into = GuestSpan {
            addr: self.rig.vm.window_address(WindowOffset(4096)),
            len: 4096,
        };
        let raw = |opcode: Opcode, body: &'static [u8]| Body::raw(opcode as u32, body, into);
        let start = FileOffset(0);
        let kinds = [
            ("read", self.other, Body::read(file, start, into)),
            ("readlink", self.link, Body::readlink(into)),
            ("readdir", NodeId::ROOT, Body::readdir(folder, start, into)),
            (
                "readdirplus",
                NodeId::ROOT,
                Body::readdirplus(folder, start, into),
            ),
            ("getattr", self.other, raw(Opcode::Getattr, &[0; 16])),
            ("lookup", NodeId::ROOT, raw(Opcode::Lookup, b"other\0")),
            ("statfs", NodeId::ROOT, raw(Opcode::Statfs, &[])),
        ];
        let path = self.rig.daemon.share().join("mapped");
        let mut all = Vec::new();
        for (kind, node, body) in kinds {
            let outcome = self.rig.client.call(node, body).map(drop);
            let file = fs::read(&path)?;
            fs::write(&path, &self.content)?;
            all.push(Replied {
                kind,
                outcome,
                file,
            });
        }
        Ok(all)
    }

    /// Requests a reply whose header also goes into the file. Returns the file's bytes afterwards.
    fn header(&mut self) -> Result<Vec<u8>> {
        let mut queue = self.rig.vm.take_queue(QueueIndex::request(1))?;
        let request = self.rig.vm.memory().allocate(4096, 4096)?;
        let header = InHeader {
            len: size_of::<InHeader>() as u32,
            opcode: Opcode::Statfs as u32,
            unique: 1,
            nodeid: NodeId::ROOT.0,
            ..InHeader::default()
        };
        request.write(0, header.as_slice())?;
        let into = GuestSpan {
            addr: self.rig.vm.window_address(WindowOffset(0)),
            len: 4096,
        };
        queue.submit(&[request.part(0..size_of::<InHeader>())], &[into], 1)?;
        queue.kick()?;
        queue.wait(PATIENCE)?;
        Ok(fs::read(self.rig.daemon.share().join("mapped"))?)
    }
}

#[test]
fn no_reply_of_a_read_only_share_reaches_a_mapped_file() -> Result<()> {
    for slots in [&[][..], &["--mem-slots"]] {
        let mut target = Target::start(&[slots, &["--readonly"]].concat())?;
        for reply in target.replies()? {
            let kind = reply.kind;
            ensure!(reply.outcome.is_err(), "{kind} {slots:?}: answered");
            ensure!(
                reply.file == target.content,
                "{kind} {slots:?}: in the file"
            );
        }
        ensure!(
            target.header()? == target.content,
            "a header is in the file"
        );
        target.rig.client.lookup(NodeId::ROOT, "other")?;
    }
    Ok(())
}

/// The test above can fail: in a writable share these are transfers like any other.
#[test]
fn replies_of_a_writable_share_do() -> Result<()> {
    let mut target = Target::start(&[])?;
    for reply in target.replies()? {
        reply.outcome.context(reply.kind)?;
        ensure!(
            reply.file != target.content,
            "{}: not in the file",
            reply.kind
        );
    }
    ensure!(
        target.header()? != target.content,
        "no header is in the file"
    );
    Ok(())
}

#[test]
fn a_read_only_share_maps_nothing_where_the_vmm_lets_its_guest_store() -> Result<()> {
    let mut rig = read_only(Rules::qemu())?;
    let (node, promised) = file(&mut rig, "whole", &pattern(RANGE as usize))?;
    ensure!(!promised, "{}", rig.daemon.log());
    let client = &mut rig.client;
    expect_errno(
        client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), false),
        libc::ENOBUFS,
        "the guest could store",
    )?;
    let log = rig.daemon.log();
    ensure!(log.contains("no DAX: the share is read-only"), "{log}");
    Ok(())
}

/// Makes a file of root that the daemon's user may only read. Returns whether the daemon promises
/// that it can be mapped.
fn file_to_read(rig: &mut Rig, name: &str, content: &[u8]) -> Result<(NodeId, bool)> {
    fs::write(rig.daemon.share().join(name), content)?;
    let entry = rig.client.lookup(NodeId::ROOT, name)?;
    Ok((NodeId(entry.nodeid), entry.attr.flags & ATTR_DAX != 0))
}

#[test]
fn a_file_that_is_only_to_be_read_is_mapped_where_the_vmm_enforces_that() -> Result<()> {
    let lets_write = Rules {
        read_only: ReadOnly::MapWritable,
        ..Rules::one_region()
    };
    for (rules, mapped) in [(Rules::one_region(), true), (lets_write, false)] {
        let mut rig = unprivileged("--sandbox=none", rules)?;
        let content = pattern(ODD);
        let (node, promised) = file_to_read(&mut rig, "root-s", &content)?;
        let (own, also) = file(&mut rig, "own", &[7; 8192])?;
        ensure!(promised == mapped && also, "{}", rig.daemon.log());
        let window = rig.window()?;
        let mut map = |node, at, write| {
            let at = WindowOffset(at);
            rig.client
                .setup_mapping(node, FileOffset(0), RANGE, at, write)
        };
        expect_errno(
            map(node, 0, true),
            libc::EACCES,
            "a mapping to store through",
        )?;
        map(own, RANGE, true)?;
        let read = map(node, 0, false);
        if !mapped {
            expect_errno(read, libc::EACCES, "the guest could store")?;
            continue;
        }
        read?;
        expect_errno(
            map(node, 0, true),
            libc::EACCES,
            "an upgrade to store through",
        )?;
        let mapping = window.mapping_at(WindowOffset(0)).context("mapped")?;
        ensure!(!mapping.writable, "asked for a writable mapping");
        let access = rustix::fs::fcntl_getfl(&mapping.file)? & OFlags::ACCMODE;
        ensure!(access == OFlags::RDONLY, "handed out with {access:?}");
        let mut seen = vec![0; RANGE as usize];
        window.read(WindowOffset(0), &mut seen)?;
        ensure!(seen == content[..RANGE as usize], "other bytes");
        no_transfer_into_the_window(&mut rig, own)?;
        let host = fs::read(rig.daemon.share().join("root-s"))?;
        ensure!(host == content, "the guest has changed the file");
    }
    Ok(())
}

/// The same with views, below a read-only mount.
#[test]
fn a_file_of_a_read_only_mount_is_mapped_for_reading() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let inside = folder.path().join("read-only");
    fs::create_dir(&inside)?;
    let mount = Mount::on(inside.clone(), &["-t", "tmpfs", "none"])?;
    fs::write(inside.join("file"), pattern(ODD))?;
    run("mount", &["-o", "remount,ro"], &mount.0)?;
    for (rules, mapped) in [(Rules::one_region(), true), (Rules::qemu(), false)] {
        let daemon = command()?
            .args(["--dax-window=64M", "--dax=always"])
            .share(folder.path())
            .start()?;
        let mut rig = Rig::on(daemon, &ruled_by(rules))?;
        let parent = rig.client.node("read-only")?;
        let entry = rig.client.lookup(parent, "file")?;
        let promised = entry.attr.flags & ATTR_DAX != 0;
        ensure!(promised == mapped, "{}", rig.daemon.log());
        let node = NodeId(entry.nodeid);
        let client = &mut rig.client;
        let read = client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), false);
        ensure!(read.is_ok() == mapped, "{read:?}");
        if mapped {
            let mut seen = vec![0; RANGE as usize];
            rig.window()?.read(WindowOffset(0), &mut seen)?;
            ensure!(seen == pattern(ODD)[..RANGE as usize], "other bytes");
        }
    }
    Ok(())
}

/// The file was promised for reading. An open for writing gets an inode that does not use the
/// window, and existing mappings stay.
#[test]
fn a_file_that_becomes_writable_is_written_by_requests() -> Result<()> {
    for flags in [0, libc::O_TRUNC] {
        let mut rig = unprivileged("--sandbox=none", Rules::one_region())?;
        let (node, promised) = file_to_read(&mut rig, "file", &pattern(8192))?;
        ensure!(promised, "{}", rig.daemon.log());
        let (window, flags) = (rig.window()?, flags | libc::O_RDWR);
        let client = &mut rig.client;
        client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), false)?;
        expect_errno(client.open(node, flags), libc::EACCES, "may not be written")?;
        let path = rig.daemon.share().join("file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        expect_errno(
            client.open(node, flags),
            libc::ESTALE,
            "to be looked up again",
        )?;
        let entry = client.lookup(NodeId::ROOT, "file")?;
        ensure!(entry.attr.flags & ATTR_DAX == 0, "promised again");
        ensure!((entry.nodeid, entry.generation) == (node.0, 1), "{entry:?}");
        let handle = Handle(client.open(node, flags)?.fh);
        client.write_slice(node, handle, FileOffset(0), b"written")?;
        ensure!(fs::read(&path)?.starts_with(b"written"));
        let unmaps = window.stats().unmaps;
        let refused = client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), true);
        let errno = refused.expect_err("not without a hole").errno();
        ensure!(errno == Some(libc::EACCES), "{errno:?}");
        ensure!((window.mapped(), window.stats().unmaps) == (1, unmaps));
        let mut seen = [0; 7];
        window.read(WindowOffset(0), &mut seen)?;
        ensure!(&seen == b"written", "what is mapped is the file");
    }
    Ok(())
}
