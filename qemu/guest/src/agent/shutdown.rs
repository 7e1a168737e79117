// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The end of a guest: processes first, then file systems, then the machine.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    fs::sync,
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process_group},
    system::{RebootCommand, reboot},
};

use crate::agent::{
    boot::{console, mounts},
    children::Children,
    outbox::Outbox,
};
use crate::wire::{Reply, RequestId, ToHost};

/// How long processes may take to end by themselves when asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long processes may take once killed. A process that waits for a dead file system never ends.
const KILL_TIME_OUT: Duration = Duration::from_secs(10);

/// The last step.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    PowerOff,
    Reboot,
}

/// Why the guest ends.
pub(crate) enum Cause<'a> {
    /// The host has asked for it, and gets an answer.
    Asked { id: RequestId, outbox: &'a Outbox },
    /// The host is no longer there.
    HostGone,
    /// The agent can't go on.
    Fatal(anyhow::Error),
}

/// Taken by the one thread that ends the guest, and never released.
static ENDING: Mutex<()> = Mutex::new(());

/// Ends all processes, unmounts all file systems with data, answers the host, and ends the guest. A
/// second caller blocks here until the guest ends.
pub(crate) fn shut_down(ending: Ending, children: &Children, cause: Cause<'_>) -> ! {
    let _ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    match &cause {
        Cause::Asked { .. } => {}
        Cause::HostGone => console::say("the host has closed the port"),
        Cause::Fatal(error) => console::say(format_args!("fatal: {error:#}")),
    }
    let problems = quiesce(children);
    problems.iter().for_each(console::say);
    if let Cause::Asked { id, outbox } = cause {
        for problem in problems {
            outbox.warn(problem);
        }
        outbox.send_last(&ToHost::Reply {
            id,
            outcome: Ok(Reply::Done),
        });
    }
    end_machine(ending)
}

/// Ends all processes and unmounts all file systems with data; returns a line for each failure.
fn quiesce(children: &Children) -> Vec<String> {
    let mut problems = Vec::new();
    if !end_processes(children) {
        let waited = KILL_TIME_OUT.as_secs();
        problems.push(format!(
            "processes are left {waited} s after they were killed"
        ));
    }
    sync();
    for target in mounted() {
        if let Err(error) = unmount(&*target, UnmountFlags::empty()) {
            problems.push(format!("can't unmount {target}: {error}"));
        }
    }
    sync();
    problems
}

/// Ends the guest at once, without regard to its processes, and without waiting for any file
/// system.
pub(crate) fn power_off_now() -> ! {
    end_machine(Ending::PowerOff)
}

fn end_machine(ending: Ending) -> ! {
    let command = match ending {
        Ending::PowerOff => RebootCommand::PowerOff,
        Ending::Reboot => RebootCommand::Restart,
    };
    if let Err(error) = reboot(command) {
        console::say(format_args!("fatal: can't end the machine: {error}"));
    }
    loop {
        std::thread::park();
    }
}

/// Asks all processes to end, then kills the others. Returns whether none is left.
fn end_processes(children: &Children) -> bool {
    signal_everything(Signal::TERM);
    // Interactive shells ignore the one, and take the other for the end of their terminal.
    signal_everything(Signal::HUP);
    if children.wait_until_childless(GRACE) {
        return true;
    }
    signal_everything(Signal::KILL);
    children.wait_until_childless(KILL_TIME_OUT)
}

fn signal_everything(signal: Signal) {
    // For kill(2) the group of process 1 means every process but the caller. It fails if there is
    // no other process, which is fine.
    kill_process_group(Pid::INIT, signal).ok();
}

/// The mount points of all file systems that may hold data, the last mounted first.
fn mounted() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut targets: Vec<_> = targets
        .map(unescape)
        .filter(|target| target != "/" && !mounts::is_fixed(target))
        .collect();
    targets.reverse();
    targets
}

/// Undoes the kernel's way to write space, tab, newline and backslash in its tables.
fn unescape(field: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(field.to_owned(), |field, (code, meant)| {
        field.replace(code, meant)
    })
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape("/share"), "/share");
        assert_eq!(unescape(r"/a\040b\011c"), "/a b\tc");
        assert_eq!(unescape(r"/back\134040slash"), r"/back\040slash");
    }
}
