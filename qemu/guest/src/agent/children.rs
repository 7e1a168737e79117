// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The only code that starts and reaps processes.
//!
//! A first process inherits every orphan, so it has to reap every process that ends, which may be a
//! command with a waiting thread. Invariants, upheld by doing both under one lock:
//!
//! - a command is in the table before its end can be reaped;
//! - a process id in the table is not reaped yet, so a signal can't hit another process;
//! - the library's own wait after a failed exec finds its child.

use std::{
    collections::HashMap,
    io,
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{
        self, Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process_group, wait, waitid,
    },
};

use crate::wire::{ExitStatus, Signal};

/// The agent's children.
#[derive(Default)]
pub(crate) struct Children {
    table: Mutex<Table>,
    /// Signalled when a process is started and when the last one has ended.
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    waiters: HashMap<Pid, mpsc::Sender<ExitStatus>>,
    /// How many processes have been started.
    started: u64,
    /// The value of `started` when there was last no child.
    childless_at: Option<u64>,
}

impl Children {
    /// Begins to reap all children of this process.
    pub(crate) fn start() -> Arc<Self> {
        let children = Arc::new(Self::default());
        let reaper = Arc::clone(&children);
        thread::spawn(move || reaper.reap());
        children
    }

    /// Starts a process; the channel reports its end.
    pub(crate) fn spawn(
        &self,
        command: &mut Command,
    ) -> io::Result<(Pid, mpsc::Receiver<ExitStatus>)> {
        let mut table = self.table();
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        table.waiters.insert(pid, sender);
        table.started += 1;
        self.changed.notify_all();
        Ok((pid, receiver))
    }

    /// Signals the process group of a child that has not been reaped.
    pub(crate) fn signal_group(&self, leader: Pid, signal: Signal) -> io::Result<()> {
        let table = self.table();
        if !table.waiters.contains_key(&leader) {
            return Ok(());
        }
        let signal = process::Signal::from_named_raw(signal.0)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(kill_process_group(leader, signal)?)
    }

    /// Kills the process groups of all children that have not been reaped.
    pub(crate) fn kill_all(&self) {
        for leader in self.table().waiters.keys() {
            // Fails only if the group has ended by itself.
            kill_process_group(*leader, process::Signal::KILL).ok();
        }
    }

    fn reap(&self) -> ! {
        loop {
            let started = self.table().started;
            // Does not reap yet: that must be done under the lock.
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(Errno::CHILD) => self.wait_for_a_child(started),
                _ => self.reap_ended(),
            }
        }
    }

    /// Waits until there is no child, for at most `limit`. Returns whether there is none.
    pub(crate) fn wait_until_childless(&self, limit: Duration) -> bool {
        let (table, _) = self
            .changed
            .wait_timeout_while(self.table(), limit, |table| !table.childless())
            .unwrap_or_else(PoisonError::into_inner);
        table.childless()
    }

    fn wait_for_a_child(&self, started: u64) {
        let mut table = self.table();
        table.childless_at = Some(started);
        self.changed.notify_all();
        let more = self
            .changed
            .wait_while(table, |table| table.started == started);
        drop(more.unwrap_or_else(PoisonError::into_inner));
    }

    fn reap_ended(&self) {
        let mut table = self.table();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(waiter) = table.waiters.remove(&pid) {
                // An error means that the waiter is gone.
                waiter.send(exit_status(status)).ok();
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code that holds the lock can panic half-way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn childless(&self) -> bool {
        self.childless_at == Some(self.started)
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Exited(code as u8),
        (_, Some(signal)) => ExitStatus::Signaled(Signal(signal)),
        _ => unreachable!("only processes that have ended are waited for"),
    }
}
