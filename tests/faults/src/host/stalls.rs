// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stalls of the host itself. A processor that runs nothing for minutes makes each time limit of a
//! fault expire, and the daemon is not to blame.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Parts of the kernel's reports of a processor or a task that makes no progress.
const REPORTS: [&str; 4] = ["lockup", "blocked for more than", "stall", "hogged CPU"];
/// More than the kernel returns for one record.
const RECORD: usize = 8192;

/// The kernel's log from now on.
#[derive(Debug)]
pub struct KernelLog(Option<File>);

impl KernelLog {
    /// Begins after the last record. A log that can't be read has no reports.
    pub fn follow() -> Self {
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let log = options.open("/dev/kmsg").and_then(|mut log| {
            log.seek(SeekFrom::End(0))?;
            Ok(log)
        });
        Self(log.ok())
    }

    /// The kernel's reports of stalls since then, a line each; empty if there are none.
    pub fn stalls(&mut self) -> String {
        let Some(log) = &mut self.0 else {
            return String::new();
        };
        let mut record = [0; RECORD];
        let mut reports = String::new();
        loop {
            match log.read(&mut record) {
                Ok(0) => break,
                Ok(len) => reports.extend(report(&String::from_utf8_lossy(&record[..len]))),
                // The kernel has overwritten records that were not read. The next read continues
                // behind them.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if !reports.is_empty() {
            reports.insert_str(0, "\nthe host itself stalled; its kernel's log:");
        }
        reports
    }
}

/// The first line of a record behind its prefix, if it reports a stall.
fn report(record: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    let line = text.lines().next()?;
    let found = REPORTS.iter().any(|part| line.contains(part));
    found.then(|| format!("\n{line}"))
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn stalls_are_told_from_chatter() {
        let stall = "3,1536,77088124001,-;BUG: workqueue lockup - pool cpus=0 stuck for 34s!\n";
        let wanted = "\nBUG: workqueue lockup - pool cpus=0 stuck for 34s!";
        assert_eq!(report(stall).as_deref(), Some(wanted));
        let task =
            "3,1600,77195000000,-;INFO: task aside:6019 blocked for more than 120 seconds.\n";
        assert!(report(task).is_some());
        let chatter = "6,1481,36838516558,-;loop0: detected capacity change from 0 to 65536\n";
        assert_eq!(report(chatter), None);
    }
}
