// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests with buffers in the window. The VMM sends its memory table only while it has at most 8
//! regions, as QEMU does for a device without CONFIGURE_MEM_SLOTS.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fuse_backend_rs::abi::fuse_abi::InHeader;
use virtiofs_driver::window::Rules;
use virtiofs_driver::{
    Client, FileOffset, GuestSpan, Handle, InitOptions, NodeId, Options, QueueIndex, Vm,
    WindowOffset, WindowOption, daemon,
};
use vm_memory::GuestAddress;

use crate::rig::{PATIENCE, RANGE, Rig, command, pattern, ruled_by};

/// The ranges of the mapped file: more than fit into the VMM's table.
const RANGES: u64 = 20;
/// Bytes of a file whose pages are all gone.
const LOST: u64 = 256 << 20;
/// Bytes of a transfer: the most that Linux sends.
const TRANSFER: u32 = 1 << 20;
/// Between two reads of the daemon's log.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The address at which a second kernel puts the window.
const ELSEWHERE: GuestAddress = GuestAddress(0x100_0000_0000);

/// A guest with a file of many ranges. All of them are mapped, in the reverse order of the window.
struct Mapped {
    rig: Rig,
    node: NodeId,
    handle: Handle,
    content: Vec<u8>,
}

impl Mapped {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut all = vec!["--tag=share", "--dax-window=64M"];
        all.extend(arguments);
        Self::of(Rig::start_with(daemon::daxd()?, &Options::default(), &all)?)
    }

    fn of(mut rig: Rig) -> Result<Self> {
        let content = pattern((RANGES * RANGE) as usize);
        let (node, handle) = rig.file("mapped", &content)?;
        let mut mapped = Self {
            rig,
            node,
            handle,
            content,
        };
        mapped.map_all()?;
        Ok(mapped)
    }

    fn map_all(&mut self) -> Result<()> {
        for range in 0..RANGES {
            let at = WindowOffset((RANGES - 1 - range) * RANGE);
            let from = FileOffset(range * RANGE);
            let client = &mut self.rig.client;
            client.setup_mapping(self.node, from, RANGE, at, true)?;
        }
        Ok(())
    }

    /// The guest addresses of `len` bytes of the file.
    fn span(&self, at: u64, len: u32) -> GuestSpan {
        let (range, within) = (at / RANGE, at % RANGE);
        let place = WindowOffset((RANGES - 1 - range) * RANGE + within);
        GuestSpan {
            addr: self.rig.vm.window_address(place),
            len,
        }
    }

    fn on_host(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.rig.daemon.share().join(name))?)
    }

    /// Writes from the mapped file to another one, which grows, and reads that back into the mapped
    /// file. The bytes have to be equal on the host.
    fn copies_both_ways(&mut self) -> Result<()> {
        let (node, handle) = self.rig.file("other", b"")?;
        for (step, range) in [0, 1, RANGES / 2, RANGES - 1].into_iter().enumerate() {
            let (from, to) = (range * RANGE + 4096, step as u64 * u64::from(TRANSFER));
            let span = self.span(from, TRANSFER);
            let client = &mut self.rig.client;
            let written = client.write(node, handle, FileOffset(to), span)?;
            ensure!(written == TRANSFER, "{written} bytes written");
            let other = self.on_host("other")?;
            let (from, to) = (from as usize, to as usize);
            let len = TRANSFER as usize;
            ensure!(
                other[to..to + len] == self.content[from..from + len],
                "range {range} was written wrong"
            );
        }
        let (into, from) = (3 * RANGE + 100, u64::from(TRANSFER) + 10);
        let span = self.span(into, TRANSFER - 4096);
        let client = &mut self.rig.client;
        let read = client.read(node, handle, FileOffset(from), span)?;
        let (read, into, from) = (read as usize, into as usize, from as usize);
        ensure!(read == (TRANSFER - 4096) as usize, "{read} bytes read");
        let other = self.on_host("other")?;
        self.content[into..into + read].copy_from_slice(&other[from..from + read]);
        ensure!(self.on_host("mapped")? == self.content, "read wrong");
        Ok(())
    }
}

/// A counter in the daemon's closing line.
fn counter(mut rig: Rig, name: &str) -> Result<u64> {
    rig.vm.disconnect();
    rig.daemon.wait()?;
    let log = rig.daemon.log();
    let found = log.split(&format!(" {name}=")).nth(1);
    let found = found.and_then(|rest| rest.split_whitespace().next());
    found.context(log.clone())?.parse().context(log)
}

#[test]
fn what_is_mapped_is_memory_for_requests() -> Result<()> {
    for rules in [Rules::qemu(), Rules::one_region()] {
        for arguments in [&[][..], &["--mem-slots"]] {
            let mut all = vec!["--tag=share", "--dax-window=64M"];
            all.extend(arguments);
            let rig = Rig::start_with(daemon::daxd()?, &ruled_by(rules), &all)?;
            let mut guest = Mapped::of(rig)?;
            guest
                .copies_both_ways()
                .with_context(|| format!("{arguments:?}, {rules:?}"))?;
            assert_eq!(guest.rig.window()?.violations(), []);
        }
    }
    Ok(())
}

#[test]
fn a_mapped_file_is_copied_onto_itself() -> Result<()> {
    let mut guest = Mapped::start(&[])?;
    let (node, handle) = (guest.node, guest.handle);
    for (from, to) in [(0, 100), (RANGE + 4096, RANGE), (5 * RANGE, 9 * RANGE)] {
        let span = guest.span(from, TRANSFER);
        let client = &mut guest.rig.client;
        let written = client.write(node, handle, FileOffset(to), span)?;
        assert_eq!(written, TRANSFER);
        let (from, to, len) = (from as usize, to as usize, TRANSFER as usize);
        guest.content.copy_within(from..from + len, to);
        assert!(guest.on_host("mapped")? == guest.content, "{from} to {to}");
    }
    // The file grows by its own bytes, and the range mapped behind its end then has bytes.
    let span = guest.span(0, TRANSFER);
    let end = FileOffset(guest.content.len() as u64);
    let written = guest.rig.client.write(node, handle, end, span)?;
    assert_eq!(written, TRANSFER);
    guest.content.extend_from_within(..TRANSFER as usize);
    assert!(guest.on_host("mapped")? == guest.content);
    Ok(())
}

/// The VMM's last table has a range at an address at which another file is mapped by now.
#[test]
fn a_stale_table_gives_no_other_file_s_bytes() -> Result<()> {
    let mut guest = Mapped::start(&[])?;
    // The first ranges, which are in the table, and others that aren't.
    for range in [0, 1, 2, RANGES - 1] {
        let at = WindowOffset((RANGES - 1 - range) * RANGE);
        let client = &mut guest.rig.client;
        client.remove_mapping(guest.node, &[(at, RANGE)])?;
    }
    let (other, handle) = guest.rig.file("other", &[0; 64])?;
    for range in [0, 2, RANGES - 1] {
        let span = guest.span(range * RANGE, 64);
        let client = &mut guest.rig.client;
        let errno = |result: Result<u32, virtiofs_driver::FuseError>| {
            result.expect_err("nothing is mapped there").errno()
        };
        let written = client.write(other, handle, FileOffset(0), span);
        assert_eq!(errno(written), Some(libc::EFAULT));
        let read = client.read(other, handle, FileOffset(0), span);
        assert_eq!(errno(read), Some(libc::EFAULT));
    }
    assert_eq!(guest.on_host("other")?, [0; 64]);
    assert!(guest.on_host("mapped")? == guest.content);

    let (node, _) = guest.rig.file("new", &[9; 4096])?;
    let at = WindowOffset((RANGES - 1) * RANGE);
    let client = &mut guest.rig.client;
    client.setup_mapping(node, FileOffset(0), RANGE, at, true)?;
    let span = guest.span(0, 64);
    let written = guest.rig.client.write(other, handle, FileOffset(0), span)?;
    assert_eq!((written, guest.on_host("other")?), (64, vec![9; 64]));
    assert_eq!(counter(guest.rig, "unreachable_buffers")?, 6);
    Ok(())
}

/// Headers in pieces of one byte. Each piece is in another page of a mapped file that is gone, with
/// a page between two pieces. A process that replaced these pages would run out of mappings: it
/// needs two for each piece, and the limit is 65,530.
#[test]
fn lost_pages_are_no_memory() -> Result<()> {
    let options = Options {
        request_queues: 2,
        ..Options::default()
    };
    for arguments in [&[][..], &["--mem-slots"]] {
        let mut all = vec!["--tag=share", "--dax-window=256M"];
        all.extend(arguments);
        let mut rig = Rig::start_with(daemon::daxd()?, &options, &all)?;
        let file = fs::File::create(rig.daemon.share().join("lost"))?;
        file.set_len(LOST)?;
        let node = rig.client.node("lost")?;
        for at in (0..LOST).step_by(RANGE as usize) {
            let place = WindowOffset(at);
            let client = &mut rig.client;
            client.setup_mapping(node, FileOffset(at), RANGE, place, true)?;
        }
        file.set_len(0)?;
        let mut queue = rig.vm.take_queue(QueueIndex::request(1))?;
        let reply = rig.vm.memory().allocate(4096, 4096)?;
        let lost_bytes = (0..LOST).step_by(2 * 4096).map(|at| GuestSpan {
            addr: rig.vm.window_address(WindowOffset(at)),
            len: 1,
        });
        let lost_bytes: Vec<_> = lost_bytes.collect();
        for (number, header) in lost_bytes.chunks(size_of::<InHeader>()).enumerate() {
            queue.submit(header, &[reply.span()], number as u64)?;
            queue.kick()?;
            assert_eq!(queue.wait(PATIENCE)?.token, number as u64);
        }
        // Other requests still work.
        let entry = rig.client.lookup(NodeId::ROOT, "lost")?;
        assert_eq!((entry.nodeid, entry.attr.size), (node.0, 0));
        assert_eq!(counter(rig, "lost_pages")?, 0, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn the_next_kernel_may_put_the_window_elsewhere() -> Result<()> {
    let mut guest = Mapped::start(&[])?;
    for base in [ELSEWHERE, GuestAddress(0x80_0000_0000)] {
        let rig = &mut guest.rig;
        let all: Vec<_> = (0..RANGES)
            .map(|at| (WindowOffset(at * RANGE), RANGE))
            .collect();
        rig.client.remove_mapping(guest.node, &all)?;
        assert!(rig.window()?.wait_until_settled(PATIENCE));
        rig.vm.reset()?;
        rig.client.pipeline().restart();
        rig.vm.move_window(base);
        rig.vm.start()?;
        rig.client.init(&InitOptions::linux())?;
        let node = rig.client.lookup(NodeId::ROOT, "mapped")?.nodeid;
        guest.node = NodeId(node);
        guest.map_all()?;
        guest.copies_both_ways()?;
    }
    Ok(())
}

/// The daemon can't learn the window's address if the table is full of memory.
#[test]
fn a_vm_with_a_full_table_is_promised_nothing() -> Result<()> {
    let daemon = command()?
        .args(["--tag=share", "--dax-window=64M", "--dax=always"])
        .start()?;
    let options = Options {
        window: WindowOption::Required(Rules::qemu()),
        ..Options::default()
    };
    let mut vm = Vm::connect_stopped(&daemon.socket(), &options)?;
    for _ in 0..7 {
        vm.add_memory(1 << 20)?;
    }
    vm.start()?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    client.init(&InitOptions::linux())?;
    fs::write(daemon.share().join("file"), pattern(RANGE as usize))?;
    let entry = client.lookup(NodeId::ROOT, "file")?;
    assert_eq!(entry.attr.flags & 2, 0, "FUSE_ATTR_DAX");
    let node = NodeId(entry.nodeid);
    let mapped = client.setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), true);
    let errno = mapped.expect_err("not mapped").errno();
    assert_eq!(errno, Some(libc::ENOBUFS));
    // Requests through FUSE still work.
    let handle = Handle(client.open(node, libc::O_RDWR)?.fh);
    let read = client.read_vec(node, handle, FileOffset(0), 4096)?;
    assert_eq!(read, pattern(4096));
    let log = daemon.log();
    assert!(log.contains("with --mem-slots it would"), "{log}");
    Ok(())
}

/// As with QEMU: the window goes on, and the device does not.
#[test]
fn a_device_with_many_ranges_is_not_started_again() -> Result<()> {
    let mut guest = Mapped::start(&[])?;
    guest.rig.vm.stop()?;
    let started = guest.rig.vm.start().map_err(|error| error.to_string());
    assert!(started.is_err_and(|said| said.contains("don't fit")));
    let said = || {
        guest
            .rig
            .daemon
            .log()
            .contains("hangs until the guest is reset")
    };
    let deadline = Instant::now() + PATIENCE;
    while !said() {
        let log = guest.rig.daemon.log();
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} for a word: {log}"
        );
        std::thread::sleep(LOOK_AGAIN);
    }
    let mut guest = Mapped::start(&["--mem-slots"])?;
    guest.rig.vm.stop()?;
    guest.rig.vm.start()?;
    guest.copies_both_ways()
}
