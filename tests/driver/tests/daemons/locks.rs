// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--locks host`: locks of a guest, as processes of the host see them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use virtiofs_driver::daemon;
use virtiofs_driver::fuse::{Completion, FileLock, FsOptions};
use virtiofs_driver::{
    Body, Daemon, FuseError, Handle, InitOptions, NodeId, Options, Pipeline, QueueIndex, Reply,
    Request, Unique, Vm,
};

use crate::rig::{PATIENCE, Rig, command};

/// `OFFSET_MAX`: a lock that ends there reaches to the file's end.
pub const TO_THE_END: u64 = i64::MAX as u64;

/// A guest whose requests may be answered out of order.
pub struct Guest {
    pub pipeline: Pipeline,
    urgent: Pipeline,
    /// Answers to requests that another call has met.
    answered: HashMap<Unique, Completion>,
    pub vm: Vm,
    pub daemon: Daemon,
}

impl Guest {
    pub fn start(arguments: &[&str], options: &Options) -> Result<Self> {
        let arguments = [&["--tag=share", "--locks=host"], arguments].concat();
        Self::on(Rig::start_with(daemon::daxd()?, options, &arguments)?)
    }

    fn on(rig: Rig) -> Result<Self> {
        let Rig {
            client,
            mut vm,
            daemon,
        } = rig;
        let urgent = Pipeline::new(&mut vm, QueueIndex::HIGH_PRIORITY, 4)?;
        Ok(Self {
            pipeline: client.into_pipeline(),
            urgent,
            answered: HashMap::new(),
            vm,
            daemon,
        })
    }

    /// Runs a test on a daemon without and with a pool.
    fn on_each(test: impl Fn(&mut Self) -> Result<()>) -> Result<()> {
        for arguments in [&[][..], &["--thread-pool-size=2"]] {
            let mut guest = Self::start(arguments, &Options::default())?;
            test(&mut guest).with_context(|| format!("{arguments:?}"))?;
        }
        Ok(())
    }

    /// Makes a request and kicks.
    pub fn send(&mut self, node: NodeId, body: Body<'_>) -> Result<Unique> {
        let unique = self.pipeline.submit(&Request::new(node, body))?;
        self.pipeline.kick()?;
        Ok(unique)
    }

    /// Waits for the answer to a request; the errno if it is one.
    pub fn answer(&mut self, unique: Unique) -> Result<Result<Reply, i32>> {
        let completion = loop {
            if let Some(completion) = self.answered.remove(&unique) {
                break completion;
            }
            let completion = self.pipeline.complete()?;
            self.answered.insert(completion.unique, completion);
        };
        match completion.result {
            Ok(reply) => Ok(Ok(reply)),
            Err(error) => match FuseError::errno(&error) {
                Some(errno) => Ok(Err(errno)),
                None => Err(error.into()),
            },
        }
    }

    pub fn ask(&mut self, node: NodeId, body: Body<'_>) -> Result<Result<Reply, i32>> {
        let unique = self.send(node, body)?;
        self.answer(unique)
    }

    /// Whether a request has been answered, as far as was noticed.
    pub fn is_answered(&mut self, unique: Unique) -> Result<bool> {
        while let Some(completion) = self.pipeline.poll()? {
            self.answered.insert(completion.unique, completion);
        }
        Ok(self.answered.contains_key(&unique))
    }

    pub fn interrupt(&mut self, unique: Unique) -> Result<()> {
        let request = Request::new(NodeId(0), Body::interrupt(unique));
        self.urgent.submit(&request)?;
        self.urgent.complete()?.result?;
        Ok(())
    }

    /// A new file of the share, and its path on the host.
    pub fn file(&mut self, name: &str) -> Result<NodeId> {
        std::fs::write(self.daemon.share().join(name), b"content")?;
        match self.ask(NodeId::ROOT, Body::lookup(name))? {
            Ok(Reply::Entry(entry)) => Ok(NodeId(entry.nodeid)),
            other => Err(anyhow::anyhow!("LOOKUP: {other:?}")),
        }
    }

    pub fn open(&mut self, node: NodeId) -> Result<Handle> {
        match self.ask(node, Body::open(libc::O_RDWR))? {
            Ok(Reply::Opened(open)) => Ok(Handle(open.fh)),
            other => Err(anyhow::anyhow!("OPEN: {other:?}")),
        }
    }

    pub fn host(&self, name: &str) -> Result<File> {
        let path = self.daemon.share().join(name);
        Ok(File::options().read(true).write(true).open(path)?)
    }

    /// Returns when so many requests wait for locks, each in a thread of the daemon that is in its
    /// system call.
    pub fn wait_for_waits(&self, number: usize) -> Result<()> {
        let (begun, patience) = (Instant::now(), self.vm.patience());
        while self.waits() != number {
            ensure!(
                begun.elapsed() < patience,
                "waited {patience:?} for {number} waits, there are {}",
                self.waits()
            );
            thread::yield_now();
        }
        Ok(())
    }

    fn waits(&self) -> usize {
        let is_inside = |task: &Path| {
            let call = std::fs::read_to_string(task.join("syscall")).unwrap_or_default();
            let number = call
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            [Some(libc::SYS_fcntl), Some(libc::SYS_flock)].contains(&number)
        };
        (self.daemon.processes().iter())
            .flat_map(|process| process.threads_named("lock"))
            .filter(|task| is_inside(task))
            .count()
    }
}

pub fn range(first: u64, last: u64, kind: i32) -> FileLock {
    FileLock {
        start: first,
        end: last,
        type_: kind as u32,
        pid: 0,
    }
}

/// F_OFD_SETLK on the host.
pub fn set(file: &File, first: u64, last: u64, kind: i32) -> io::Result<()> {
    let lock = libc::flock {
        l_type: kind as _,
        l_whence: libc::SEEK_SET as _,
        l_start: first as i64,
        l_len: match last {
            TO_THE_END => 0,
            last => (last - first + 1) as i64,
        },
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the lock lives until the call returns.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// flock(2) on the host, without waiting.
pub fn try_flock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn is_free(guest: &Guest, name: &str) -> Result<bool> {
    let file = guest.host(name)?;
    Ok(set(&file, 0, TO_THE_END, libc::F_WRLCK).is_ok() && try_flock(&file))
}

const WRITE: i32 = libc::F_WRLCK;
const UNLOCK: i32 = libc::F_UNLCK;

#[test]
fn host_and_guest_see_each_other_s_locks() -> Result<()> {
    Guest::on_each(|guest| {
        let node = guest.file("file")?;
        let handle = guest.open(node)?;
        let host = guest.host("file")?;
        let of_guest = Body::setlk(handle, 1, range(0, 9, WRITE), false);
        assert!(guest.ask(node, of_guest)?.is_ok());
        assert!(set(&host, 9, 9, WRITE).is_err(), "the guest has it");
        set(&host, 20, 29, WRITE)?;
        let over = Body::setlk(handle, 1, range(5, 25, WRITE), false);
        assert_eq!(guest.ask(node, over)?.err(), Some(libc::EAGAIN));
        let question = Body::getlk(handle, 1, range(5, 50, WRITE));
        match guest.ask(node, question)? {
            Ok(Reply::Lock(found)) => {
                assert_eq!((found.lk.start, found.lk.end), (20, 29));
                assert_eq!(found.lk.type_, WRITE as u32);
            }
            other => panic!("GETLK: {other:?}"),
        }
        let flock = Body::flock(handle, 2, WRITE, false);
        assert!(guest.ask(node, flock)?.is_ok());
        assert!(!try_flock(&host), "the guest has it");
        drop(host);
        assert!(guest.ask(node, Body::flush(handle, 1))?.is_ok());
        set(&guest.host("file")?, 0, TO_THE_END, WRITE)?;
        assert!(!is_free(guest, "file")?, "flock is not by bytes");
        assert!(guest.ask(node, Body::release(handle))?.is_ok());
        assert!(is_free(guest, "file")?);
        Ok(())
    })
}

/// Each guest numbers its owners itself, so both have an owner of the same number.
#[test]
fn two_guests_see_each_other_s_locks() -> Result<()> {
    let options = Options::default();
    let mut first = Guest::start(&[], &options)?;
    let daemon = command()?
        .share(first.daemon.share())
        .args(["--tag=share", "--locks=host"])
        .start()?;
    let mut second = Guest::on(Rig::on(daemon, &options)?)?;
    let nodes = [first.file("file")?, second.file("file")?];
    let handles = [first.open(nodes[0])?, second.open(nodes[1])?];
    let locks = |handle, waits| {
        [
            Body::setlk(handle, 1, range(0, 9, WRITE), waits),
            Body::flock(handle, 1, WRITE, waits),
        ]
    };
    for kind in [0, 1] {
        assert!(first.ask(nodes[0], locks(handles[0], false)[kind])?.is_ok());
        let refused = second.ask(nodes[1], locks(handles[1], false)[kind])?;
        assert_eq!(refused.err(), Some(libc::EAGAIN));
    }
    let waits = locks(handles[1], true).map(|lock| second.send(nodes[1], lock));
    second.wait_for_waits(2)?;
    assert!(first.ask(nodes[0], Body::flush(handles[0], 1))?.is_ok());
    assert!(first.ask(nodes[0], Body::release(handles[0]))?.is_ok());
    for unique in waits {
        assert!(second.answer(unique?)?.is_ok());
    }
    assert!(!is_free(&first, "file")?, "the second guest has it");
    Ok(())
}

/// By default a guest's kernel keeps its locks, as with virtiofsd.
#[test]
fn locks_stay_in_the_guest_unless_the_operator_says_otherwise() -> Result<()> {
    let locks = FsOptions::POSIX_LOCKS | FsOptions::FLOCK_LOCKS;
    for (arguments, host) in [(&["--tag=share"][..], false), (&["--locks=host"], true)] {
        let mut rig = Rig::start_with(daemon::daxd()?, &Options::default(), arguments)?;
        let offered = rig.client.init(&InitOptions::linux())?.flags;
        let offered = FsOptions::from_bits_truncate(offered.into()) & locks;
        assert_eq!(offered == locks, host, "{arguments:?}");
        assert_eq!(offered.is_empty(), !host, "{arguments:?}");
        let (node, handle) = rig.file("file", b"content")?;
        let set = rig.client.setlk(node, handle, 1, range(0, 9, WRITE));
        let errno = set.err().and_then(|error| error.errno());
        assert_eq!(errno, (!host).then_some(libc::ENOSYS), "{arguments:?}");
    }
    Ok(())
}

/// Both kinds of lock, held by the host. `release` gives it back.
fn held_by_host(
    guest: &mut Guest,
    test: impl Fn(&mut Guest, NodeId, Unique, File) -> Result<()>,
) -> Result<()> {
    for kind in ["bytes", "flock"] {
        let node = guest.file(kind)?;
        let handle = guest.open(node)?;
        let host = guest.host(kind)?;
        set(&host, 0, TO_THE_END, WRITE)?;
        assert!(try_flock(&host));
        let waits = match kind {
            "bytes" => Body::setlk(handle, 1, range(3, 5, WRITE), true),
            _ => Body::flock(handle, 1, WRITE, true),
        };
        let unique = guest.send(node, waits)?;
        guest.wait_for_waits(1)?;
        test(guest, node, unique, host).with_context(|| kind.to_owned())?;
        guest.wait_for_waits(0)?;
        // What the handle still has.
        guest.ask(node, Body::flush(handle, 1))?.ok();
        guest.ask(node, Body::release(handle))?.ok();
        assert!(is_free(guest, kind)?, "{kind}: a lock was left");
    }
    Ok(())
}

#[test]
fn a_wait_ends_when_the_host_unlocks() -> Result<()> {
    Guest::on_each(|guest| {
        held_by_host(guest, |guest, node, unique, host| {
            // Others are served meanwhile.
            for _ in 0..100 {
                assert!(guest.ask(node, Body::getattr(None))?.is_ok());
            }
            assert!(!guest.is_answered(unique)?);
            drop(host);
            assert!(guest.answer(unique)?.is_ok());
            Ok(())
        })
    })
}

#[test]
fn a_wait_ends_by_an_interrupt() -> Result<()> {
    Guest::on_each(|guest| {
        held_by_host(guest, |guest, _, unique, _host| {
            guest.interrupt(unique)?;
            assert_eq!(guest.answer(unique)?.err(), Some(libc::EINTR));
            Ok(())
        })
    })
}

/// A wait for bytes that a process of the host has: node, handle, the host's file, and the request.
fn waiting_for_host(guest: &mut Guest) -> Result<(NodeId, Handle, File, Unique)> {
    let node = guest.file("file")?;
    let handle = guest.open(node)?;
    let host = guest.host("file")?;
    set(&host, 0, 9, WRITE)?;
    let unique = guest.send(node, Body::setlk(handle, 1, range(3, 5, WRITE), true))?;
    guest.wait_for_waits(1)?;
    Ok((node, handle, host, unique))
}

/// Linux releases no handle by which a process waits. Another kernel may.
#[test]
fn a_wait_ends_by_the_release_of_its_handle() -> Result<()> {
    Guest::on_each(|guest| {
        let (node, handle, host, unique) = waiting_for_host(guest)?;
        assert!(guest.ask(node, Body::release(handle))?.is_ok());
        assert_eq!(guest.answer(unique)?.err(), Some(libc::EINTR));
        drop(host);
        guest.wait_for_waits(0)?;
        assert!(is_free(guest, "file")?);
        Ok(())
    })
}

/// A paused VM keeps what it waits for; a reset one and a dead one leave nothing.
#[test]
fn a_stop_keeps_a_wait_and_a_reset_and_the_end_drop_it() -> Result<()> {
    Guest::on_each(|guest| {
        let (node, _, host, unique) = waiting_for_host(guest)?;
        guest.vm.stop()?;
        drop(host);
        guest.wait_for_waits(0)?;
        assert!(!guest.is_answered(unique)?, "an answer on a stopped ring");
        guest.vm.start()?;
        assert!(guest.answer(unique)?.is_ok());
        assert!(!is_free(guest, "file")?);

        let other = guest.open(node)?;
        guest.send(node, Body::setlk(other, 2, range(3, 5, WRITE), true))?;
        guest.wait_for_waits(1)?;
        guest.vm.reset()?;
        guest.wait_for_waits(0)?;
        assert!(is_free(guest, "file")?, "a reset left a lock");
        Ok(())
    })?;
    let mut guest = Guest::start(&[], &Options::default())?;
    let node = guest.file("file")?;
    let handle = guest.open(node)?;
    let free = guest.host("file")?;
    let lock = Body::setlk(handle, 1, range(0, 9, WRITE), false);
    assert!(guest.ask(node, lock)?.is_ok());
    guest.send(node, Body::setlk(handle, 2, range(0, 9, WRITE), true))?;
    guest.wait_for_waits(1)?;
    assert!(set(&free, 5, 5, WRITE).is_err());
    guest.vm.disconnect();
    guest.daemon.wait()?;
    set(&free, 0, TO_THE_END, WRITE)?;
    Ok(())
}

/// The requests that wait never fill a ring: the one that unlocks still fits.
#[test]
fn waits_beyond_a_part_of_the_ring_are_refused() -> Result<()> {
    for indirect in [false, true] {
        let options = Options {
            queue_size: 64,
            indirect,
            ..Options::default()
        };
        let mut guest = Guest::start(&[], &options)?;
        let node = guest.file("file")?;
        let handle = guest.open(node)?;
        let lock = |owner, kind, waits| Body::setlk(handle, owner, range(0, 9, kind), waits);
        assert!(guest.ask(node, lock(0, WRITE, false))?.is_ok());
        let waits: Vec<_> = (1..=16)
            .map(|owner| guest.send(node, lock(owner, WRITE, true)))
            .collect::<Result<_>>()?;
        guest.wait_for_waits(16)?;
        let refused = guest.ask(node, lock(100, WRITE, true))?;
        assert_eq!(refused.err(), Some(libc::ENOLCK));
        assert!(guest.ask(node, lock(0, UNLOCK, false))?.is_ok());
        // Each unlocks for the next; their order is the kernel's.
        let mut left = waits;
        while !left.is_empty() {
            let begun = Instant::now();
            let at = loop {
                let mut answered = None;
                for (at, unique) in left.iter().enumerate() {
                    if guest.is_answered(*unique)? {
                        answered = Some(at);
                    }
                }
                match answered {
                    Some(at) => break at,
                    None => ensure!(begun.elapsed() < PATIENCE, "no wait ends"),
                }
            };
            assert!(guest.answer(left.swap_remove(at))?.is_ok());
            for owner in 1..=16 {
                assert!(guest.ask(node, lock(owner, UNLOCK, false))?.is_ok());
            }
        }
        assert!(is_free(&guest, "file")?);
    }
    Ok(())
}

#[test]
fn two_that_would_wait_for_each_other_are_told() -> Result<()> {
    let mut guest = Guest::start(&[], &Options::default())?;
    let node = guest.file("file")?;
    let handle = guest.open(node)?;
    let lock = |owner, at, waits| Body::setlk(handle, owner, range(at, at, WRITE), waits);
    for owner in [1, 2] {
        assert!(guest.ask(node, lock(owner, owner, false))?.is_ok());
    }
    let unique = guest.send(node, lock(1, 2, true))?;
    guest.wait_for_waits(1)?;
    let refused = guest.ask(node, lock(2, 1, true))?;
    assert_eq!(refused.err(), Some(libc::EDEADLK));
    assert!(guest.ask(node, Body::flush(handle, 2))?.is_ok());
    assert!(guest.answer(unique)?.is_ok());
    Ok(())
}

/// A message that makes no sense is answered, and takes nothing.
#[test]
fn senseless_locks_are_refused() -> Result<()> {
    let mut guest = Guest::start(&[], &Options::default())?;
    let node = guest.file("file")?;
    let handle = guest.open(node)?;
    let table = [
        (
            Body::setlk(handle, 1, range(1, 0, WRITE), true),
            libc::EINVAL,
        ),
        (
            Body::setlk(handle, 1, range(0, u64::MAX, WRITE), true),
            libc::EINVAL,
        ),
        (Body::setlk(handle, 1, range(0, 9, 77), true), libc::EINVAL),
        (Body::getlk(handle, 1, range(0, 9, UNLOCK)), libc::EINVAL),
        (
            Body::setlk(Handle(77), 1, range(0, 9, WRITE), true),
            libc::EBADF,
        ),
        (Body::flock(Handle(77), 1, WRITE, true), libc::EBADF),
        (Body::getlk(Handle(77), 1, range(0, 9, WRITE)), libc::EBADF),
    ];
    for (body, errno) in table {
        assert_eq!(guest.ask(node, body)?.err(), Some(errno), "{body:?}");
    }
    assert!(is_free(&guest, "file")?);
    Ok(())
}
