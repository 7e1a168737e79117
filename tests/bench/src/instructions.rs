// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many instructions the daemon executes for a request: a measure that a busy machine does not
//! change.
//!
//! The daemon runs under valgrind's callgrind, which counts while a queue's thread handles an event, and
//! nothing else. Each kind of request is made a few times and, with another daemon, many times; the
//! difference is what one more request costs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use qemu_guest::script;
use serde::{Deserialize, Serialize};
use virtiofs_driver::{
    Client, Daemon, FileOffset, Handle, InitOptions, NodeId, Options, QueueIndex, Vm, Waiting,
    WindowOffset, WindowOption, window::Rules,
};

use crate::{
    files::{Files, RANGE},
    system::Running,
};

/// Requests of the short run; more than the daemon needs to reach its steady state.
const FEW: u32 = 100;
/// Requests of the long run.
const MANY: u32 = 600;
/// How long a daemon under valgrind may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// The function in which instructions count, as a pattern of callgrind's: a queue's thread is in it from
/// its wake-up until it sleeps again.
const COUNTED: &str = "*VhostUserBackend*handle_event*";
/// The file on which requests are made.
const FILE: &str = "data";
/// The name of the threads that serve queues.
const QUEUE_THREAD: &str = "vring_worker";
/// The functions that allocate memory.
const ALLOCATING: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
/// An allocation in each request takes more instructions than this. What happens once a second may take
/// fewer.
const NO_ALLOCATION: u64 = 15;
/// How much a request may grow.
pub const TOLERANCE: f64 = 0.03;

/// The kinds of requests that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// GETATTR.
    GetAttr,
    /// LOOKUP of a name that the guest knows.
    Lookup,
    /// READ of 4 KiB.
    Read,
    /// SETUPMAPPING and REMOVEMAPPING of a range, with a VMM whose window is one region.
    Map,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GetAttr, Self::Lookup, Self::Read, Self::Map];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetAttr => "getattr",
            Self::Lookup => "lookup",
            Self::Read => "read-4k",
            Self::Map => "setupmapping, removemapping",
        }
    }

    /// Whether it allocates memory in the daemon.
    pub fn allocates(self) -> bool {
        matches!(self, Self::Map)
    }

    fn make(
        self,
        client: &mut Client,
        (node, handle): (NodeId, Handle),
        threads: &QueueThreads,
    ) -> Result<()> {
        match self {
            Self::GetAttr => drop(client.getattr(node, None)?),
            Self::Lookup => drop(client.lookup(NodeId::ROOT, FILE)?),
            Self::Read => {
                let bytes = client.read_vec(node, handle, FileOffset(0), 4096)?;
                ensure!(bytes.len() == 4096, "{} bytes were read", bytes.len());
            }
            Self::Map => {
                let range = (WindowOffset(0), RANGE);
                client.setup_mapping(node, FileOffset(0), RANGE, range.0, true)?;
                threads.wait_until_asleep()?;
                client.remove_mapping(node, &[range])?;
            }
        }
        threads.wait_until_asleep()
    }
}

/// The instructions of one request, by function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    /// Those of all functions.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Instructions in which memory is allocated, if that happens in each request.
    pub fn allocating(&self) -> Option<u64> {
        let each = |name: &&str| self.0.get(*name).copied().unwrap_or(0);
        let total = ALLOCATING.iter().map(each).sum();
        (total > NO_ALLOCATION).then_some(total)
    }

    /// The functions that take more than in `kept`, the one that has grown most first.
    pub fn grown<'a>(&'a self, kept: &Self) -> Vec<(&'a str, u64)> {
        let before = |name: &str| kept.0.get(name).copied().unwrap_or(0);
        let grown = self
            .0
            .iter()
            .map(|(name, now)| (name.as_str(), now.saturating_sub(before(name))));
        let mut grown: Vec<_> = grown.filter(|(_, more)| *more > 0).collect();
        grown.sort_by_key(|(_, more)| std::cmp::Reverse(*more));
        grown
    }
}

/// The instructions of a request of each kind, as they are kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What else decides how many there are: compiler, C library, and the processor's vectors.
    pub with: String,
    /// By the name of the operation.
    pub operations: BTreeMap<String, Counts>,
}

/// Counts the instructions of one request.
///
/// # Errors
///
/// If valgrind or the daemon can't be run, or a request fails.
pub fn count(daemon: &Path, operation: Operation) -> Result<Counts> {
    let few = run(daemon, operation, FEW)?;
    let many = run(daemon, operation, MANY)?;
    let each = many.into_iter().filter_map(|(name, total)| {
        let before = few.get(&name).copied().unwrap_or(0);
        let each = total.saturating_sub(before) / u64::from(MANY - FEW);
        (each > 0).then_some((name, each))
    });
    Ok(Counts(each.collect()))
}

/// The instructions of each function of a daemon that has served so many requests.
fn run(daemon: &Path, operation: Operation, requests: u32) -> Result<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir()?;
    let files = Files::below(folder.path())?;
    files.full(FILE, RANGE)?;
    let program = under_callgrind(daemon, folder.path())?;
    let mut command = Daemon::command(program)
        .share(files.root())
        .patience(PATIENCE);
    // What valgrind does itself would be refused otherwise.
    command = command.args(["--sandbox=none", "--seccomp=none"]);
    let mut options = Running::options();
    if operation == Operation::Map {
        command = command.args(["--tag=share", "--dax-window=16M", "--dax=always"]);
        options = Options {
            window: WindowOption::Required(Rules::one_region()),
            ..options
        };
    }
    let mut daemon = command.start()?;
    let mut vm = Vm::connect(&daemon.socket(), &options)?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    client.init(&InitOptions::linux())?;
    let node = client.node(FILE)?;
    let handle = Handle(client.open(node, libc::O_RDWR)?.fh);
    // A driver that sleeps is notified or not, as it happens.
    client.pipeline().set_waiting(Waiting::Poll);
    let threads = QueueThreads::of(&daemon)?;
    for _ in 0..requests {
        operation.make(&mut client, (node, handle), &threads)?;
    }
    drop((client, vm));
    daemon.wait()?;
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "callgrind")
        {
            add(&fs::read_to_string(&path)?, &mut counts)
                .with_context(|| format!("{} is not callgrind's", path.display()))?;
        }
    }
    ensure!(
        !counts.is_empty(),
        "callgrind has counted nothing in {COUNTED}"
    );
    Ok(counts)
}

/// The threads of a daemon's queues, by their folders in /proc.
struct QueueThreads(Vec<PathBuf>);

impl QueueThreads {
    fn of(daemon: &Daemon) -> Result<Self> {
        let processes = daemon.processes();
        let threads = processes.iter().map(|one| one.threads_named(QUEUE_THREAD));
        let found: Vec<PathBuf> = threads.flatten().collect();
        ensure!(!found.is_empty(), "the daemon has no thread {QUEUE_THREAD}");
        Ok(Self(found))
    }

    /// Waits until all of them wait for events. A request that comes before would cost less, and how
    /// often that happens depends on the machine.
    fn wait_until_asleep(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for path in &self.0 {
            while !is_in_epoll(&fs::read_to_string(path.join("syscall"))?) {
                ensure!(
                    Instant::now() < deadline,
                    "a queue's thread does not go to sleep"
                );
                thread::yield_now();
            }
        }
        Ok(())
    }
}

/// Whether a line of `/proc/…/syscall` is of a thread that waits in epoll_wait(2) or epoll_pwait(2).
fn is_in_epoll(line: &str) -> bool {
    let number = line.split(' ').next().and_then(|word| word.parse().ok());
    matches!(number, Some(libc::SYS_epoll_wait | libc::SYS_epoll_pwait))
}

/// A program that runs the daemon under callgrind, which writes its counts into `folder`.
fn under_callgrind(daemon: &Path, folder: &Path) -> Result<PathBuf> {
    let path = folder.join("daemon");
    let text = format!(
        "exec valgrind --quiet --tool=callgrind --trace-children=yes \\\n\
         --toggle-collect='{COUNTED}' --callgrind-out-file='{}/%p.callgrind' \\\n'{}' \"$@\"",
        folder.display(),
        daemon.display(),
    );
    script::write(&path, &text)?;
    Ok(path)
}

/// Adds the instructions of each function in callgrind's output.
///
/// A line `fn=(ID) NAME` begins a function, with the name only the first time. Each line of two numbers
/// is a position and a cost, which is the function's own except after a line `calls=`.
fn add(text: &str, counts: &mut BTreeMap<String, u64>) -> Result<()> {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut function = None;
    let mut is_call = false;
    for line in text.lines() {
        if let Some(named) = line
            .strip_prefix("fn=")
            .or_else(|| line.strip_prefix("cfn="))
        {
            let (id, name) = named.split_once(' ').unwrap_or((named, ""));
            if !name.is_empty() {
                names.insert(id, short(name));
            }
            if line.starts_with("fn=") {
                function = names.get(id).cloned();
                ensure!(function.is_some(), "a function has no name: {line}");
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_whitespace().nth(1).unwrap_or("0");
            let cost: u64 = cost.parse().with_context(|| format!("no cost: {line}"))?;
            match (std::mem::take(&mut is_call), &function) {
                (true, _) => {}
                (false, Some(name)) => *counts.entry(name.clone()).or_default() += cost,
                (false, None) => bail!("a cost without a function: {line}"),
            }
        }
    }
    Ok(())
}

/// A function's name without what differs between two builds: the hash, and the number of a clone.
fn short(name: &str) -> String {
    let name = name.split("'").next().unwrap_or(name);
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            path.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1\nevents: Ir\n\nfn=(1) a::b::h0123456789abcdef\n12 7\n+1 3\n\
        cfn=(2) memcpy'2\ncalls=4 0\n13 400\n* 1\n\nfn=(2)\n0 40\n\nfn=(1)\n-2 5\ntotals: 56\n";

    #[test]
    fn each_function_has_its_own_instructions() {
        let mut counts = BTreeMap::new();
        add(TEXT, &mut counts).unwrap();
        let expected = [("a::b", 16), ("memcpy", 40)];
        assert_eq!(
            counts,
            expected.map(|(name, cost)| (name.to_owned(), cost)).into()
        );
        assert!(add("12 7\n", &mut counts).is_err());
        assert!(add("fn=(9)\n", &mut counts).is_err());
    }

    #[test]
    fn a_thread_that_waits_for_events_is_known() {
        assert!(is_in_epoll(
            "232 0x5 0x7f 0x64 0xffffffff 0x0 0x0 0x7ffc 0x7f"
        ));
        assert!(!is_in_epoll("running"));
        assert!(!is_in_epoll("0 0x3 0x7f 0x1 0x0 0x0 0x0 0x7ffc 0x7f"));
    }

    #[test]
    fn what_has_grown_is_named() {
        let counts = |all: &[(&str, u64)]| {
            Counts(
                all.iter()
                    .map(|(name, cost)| ((*name).to_owned(), *cost))
                    .collect(),
            )
        };
        let (kept, now) = (
            counts(&[("a", 10), ("b", 20), ("c", 5)]),
            counts(&[("a", 12), ("b", 19), ("d", 7)]),
        );
        assert_eq!((kept.total(), now.total()), (35, 38));
        assert_eq!(now.grown(&kept), [("d", 7), ("a", 2)]);
    }
}
