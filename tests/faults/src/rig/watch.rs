// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The time limit of a step. The watch reports the threads of a daemon that hangs, and kills the
//! daemon.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process_group};
use virtiofs_driver::daemon::Process;

/// How long one step may take on a busy machine.
pub const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Limits the steps with one daemon. If a step takes too long, the watch prints where the daemon's
/// threads are, and kills the daemon, so that all calls that wait for it fail.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    step: String,
    began: Instant,
    over: bool,
    expired: bool,
}

impl Watch {
    /// Watches the daemon whose processes are in this group.
    pub fn new(group: i32, limit: Duration) -> Self {
        let state = State {
            step: "start".to_owned(),
            began: Instant::now(),
            over: false,
            expired: false,
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let watched = Arc::clone(&shared);
        let thread = thread::spawn(move || watch(&watched, group, limit));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Starts the next step.
    pub fn step(&self, name: impl Into<String>) {
        let mut state = self.shared.0.lock();
        state.step = name.into();
        state.began = Instant::now();
    }

    /// Whether a step took too long.
    pub fn expired(&self) -> bool {
        self.shared.0.lock().expired
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.0.lock().over = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread's panic has been reported already.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &(Mutex<State>, Condvar), group: i32, limit: Duration) {
    let mut state = shared.0.lock();
    while !state.over {
        let left = limit.saturating_sub(state.began.elapsed());
        if left.is_zero() {
            state.expired = true;
            let step = state.step.clone();
            drop(state);
            eprintln!("{step}: took more than {limit:?}");
            eprintln!("{}", report(group));
            if let Some(group) = Pid::from_raw(group) {
                // Fails only if all processes have ended.
                let _ = kill_process_group(group, Signal::KILL);
            }
            return;
        }
        shared.1.wait_for(&mut state, left);
    }
}

/// The state, system call, wait channel and kernel stack of each thread in a process group.
fn report(leader: i32) -> String {
    let mut text = String::new();
    for Process { pid, .. } in Process::in_group(leader) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let _ = writeln!(text, "process {pid}, {}", thread(&task.path()));
        }
    }
    text
}

fn thread(task: &Path) -> String {
    let read = |name| {
        let text = fs::read_to_string(task.join(name)).unwrap_or_default();
        text.trim_end().replace('\n', "\n    ")
    };
    let id = task.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "thread {id} ({}): wchan {}, syscall {}\n    {}",
        read("comm"),
        read("wchan"),
        read("syscall"),
        read("stack"),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;
    use std::time::Duration;

    use super::{Watch, report};

    #[test]
    fn what_takes_too_long_is_ended() {
        let mut hung = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .expect("a process");
        let watch = Watch::new(hung.id().cast_signed(), Duration::from_millis(20));
        let status = hung.wait().expect("its end");
        assert_eq!(status.signal(), Some(9));
        assert!(watch.expired());
    }

    #[test]
    fn a_sleeping_process_is_told_of() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .expect("a process");
        let text = report(child.id().cast_signed());
        child.kill().expect("its end");
        child.wait().expect("its end");
        assert!(text.contains("(sleep): wchan "), "{text}");
    }
}
