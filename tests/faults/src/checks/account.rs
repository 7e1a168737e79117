// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon's processes hold: descriptors, mapped files, threads.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use virtiofs_driver::Daemon;

/// How long resources may take to be returned: a view is closed through the companion.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// The daemon's threads for requests that may sleep. They end after they have been idle for seconds, so
/// they are not counted: [`wait_until_idle_threads_end`] is the check of their ends.
const ASIDE: &str = "aside";

/// How many of each resource there are. The key is the process's name and the kind of resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account(BTreeMap<String, usize>);

impl Account {
    /// The resources that a daemon holds now.
    pub fn of(daemon: &Daemon) -> Self {
        let pids: Vec<_> = daemon.processes().iter().map(|one| one.pid).collect();
        Self::of_processes(&pids)
    }

    /// The resources of a daemon after it has released removed files and unmapped views. Both
    /// happen after the guest has its answer: the companion closes the files, and a view's mapping
    /// goes with the last request that has it in its guest memory.
    pub fn of_one_at_rest(daemon: &Daemon) -> Result<Self> {
        let deadline = Instant::now() + LIMIT;
        let mut before = Self::default();
        loop {
            let account = Self::of(daemon);
            let things = account.0.keys();
            let kept: Vec<_> = things.filter(|thing| is_on_its_way(thing)).collect();
            // A key can stand for several resources, which are released one after another.
            if kept.is_empty() && account == before {
                return Ok(account);
            }
            let in_time = Instant::now() < deadline;
            ensure!(in_time, "after {LIMIT:?} it is not at rest: {kept:#?}");
            before = account;
            std::thread::sleep(PAUSE);
        }
    }

    fn of_processes(pids: &[i32]) -> Self {
        let mut all = Self::default();
        for pid in pids {
            all.add(*pid);
        }
        all
    }

    fn add(&mut self, pid: i32) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim_end();
        let mut count = |thing: String| *self.0.entry(thing).or_default() += 1;
        count(format!("process {name}"));
        let fds = fs::read_dir(format!("/proc/{pid}/fd"));
        for fd in fds.into_iter().flatten().flatten() {
            // A descriptor that was closed meanwhile does not count.
            if let Ok(target) = fs::read_link(fd.path()) {
                count(format!(
                    "{name}: descriptor of {}",
                    kind(&target.to_string_lossy())
                ));
            }
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        for path in maps.lines().filter_map(mapped_file) {
            count(format!("{name}: mapping of {path}"));
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let thread = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let thread = thread.trim_end();
            if thread != ASIDE {
                count(format!("{name}: thread {thread}"));
            }
        }
    }

    /// The differences from `before`, as text; empty if there are none.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let count = |account: &Self, thing| account.0.get(thing).copied().unwrap_or(0);
        let mut things: Vec<_> = self.0.keys().chain(before.0.keys()).collect();
        things.sort();
        things.dedup();
        things
            .into_iter()
            .filter(|thing| count(self, *thing) != count(before, *thing))
            .map(|thing| {
                format!(
                    "{thing}: {}, was {}",
                    count(self, thing),
                    count(before, thing)
                )
            })
            .collect()
    }

    /// Waits until the daemon holds the same resources as when this account was made.
    pub fn wait_until_back(&self, daemon: &Daemon) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let changes = Self::of(daemon).changes_since(self);
            if changes.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "after {LIMIT:?} the daemon does not hold what it held: {changes:#?}"
            );
            std::thread::sleep(PAUSE);
        }
    }
}

/// Waits until the daemon's threads for requests that may sleep have ended, because they were idle.
pub fn wait_until_idle_threads_end(daemon: &Daemon) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while daemon.processes().iter().any(|one| one.has_thread(ASIDE)) {
        ensure!(
            Instant::now() < deadline,
            "after {LIMIT:?} there is an idle thread {ASIDE}"
        );
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Whether a daemon without mappings is about to release this. Memory files have no name from the
/// beginning; views have numbers for names.
fn is_on_its_way(thing: &str) -> bool {
    // The kernel shows shared anonymous memory as one of these. It is no file of the share.
    let memory = thing.contains("/memfd:") || thing.ends_with(" /dev/zero (deleted)");
    let removed = thing.ends_with(" (deleted)") && !memory;
    let view = thing.split_once("mapping of /");
    removed || view.is_some_and(|(_, name)| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The target without the number of a socket or pipe, which differs each time.
fn kind(target: &str) -> &str {
    match target.split_once(":[") {
        Some((kind @ ("socket" | "pipe"), _)) => kind,
        _ => target,
    }
}

/// The file of a line of /proc/PID/maps, if it is one.
fn mapped_file(line: &str) -> Option<&str> {
    let path = line.splitn(6, ' ').nth(5)?.trim_start();
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::thread;

    use super::{Account, mapped_file};

    fn this_process() -> Account {
        Account::of_processes(&[std::process::id().cast_signed()])
    }

    #[test]
    fn an_open_file_is_found() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("left-open");
        let file = File::create(&path).expect("a file");
        let with = this_process();
        drop(file);
        let found: Vec<_> = with.changes_since(&this_process());
        let name = path.to_string_lossy().into_owned();
        assert!(found.iter().any(|one| one.contains(&name)), "{found:?}");
    }

    #[test]
    fn a_thread_is_found() {
        for (name, counts) in [("left-over", true), (super::ASIDE, false)] {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let (begun, begins) = std::sync::mpsc::channel::<()>();
            let named = thread::Builder::new().name(name.to_owned());
            let waiting = named.spawn(move || {
                begun.send(()).expect("a receiver");
                ended.recv()
            });
            begins.recv().expect("a thread");
            let with = this_process();
            drop(end);
            let _ = waiting.expect("a thread").join();
            let suffix = format!(": thread {name}");
            let found = with.0.keys().any(|thing| thing.ends_with(&suffix));
            assert_eq!(found, counts, "{with:?}");
        }
    }

    #[test]
    fn only_files_are_mapped_files() {
        let line = "7f0-7f1 rw-s 00000000 00:01 1027          /memfd:guest-memory (deleted)";
        assert_eq!(mapped_file(line), Some("/memfd:guest-memory (deleted)"));
        assert_eq!(mapped_file("7f0-7f1 rw-p 00000000 00:00 0 "), None);
        assert_eq!(mapped_file("7f0-7f1 rw-p 00000000 00:00 0    [heap]"), None);
    }

    #[test]
    fn removed_files_are_told_from_memory() {
        use super::is_on_its_way as removed;
        assert!(removed("dax-views: descriptor of /file-66 (deleted)"));
        assert!(!removed("daxd: mapping of /memfd:guest-memory (deleted)"));
        assert!(!removed("daxd: mapping of /dev/zero (deleted)"));
        assert!(!removed("daxd: descriptor of /file-66"));
        assert!(removed("daxd: mapping of /66"));
        assert!(!removed("daxd: mapping of /lib/libc.so.6"));
        assert!(!removed("daxd: descriptor of /66"), "a view may be kept");
    }

    #[test]
    fn both_directions_are_told() {
        let account = |thing: &str| Account([(thing.to_owned(), 1)].into());
        let changes = account("a").changes_since(&account("b"));
        assert_eq!(changes, ["a: 1, was 0", "b: 0, was 1"]);
        assert!(account("a").changes_since(&account("a")).is_empty());
    }
}
