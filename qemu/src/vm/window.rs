// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a QEMU implements a window, found out by a guest: a version says nothing about a patched
//! program, and a property says nothing about its value.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

use super::{Parts, Vm, VmSpec};
use crate::vm::machine::ByteSize;
use crate::vm::process::Share;

/// The smallest window.
const WINDOW: ByteSize = ByteSize::mib(2);
/// The log line of a read-only share's daemon if its VMM maps a file as it is. The daemon probes
/// the VMM with scratch memory, before it answers the guest's INIT.
const AS_IT_IS: &str = "the VMM maps files as they are";
/// The daemon's log line if the VMM doesn't, or lets its guest store to the file.
const NEEDS_VIEWS: &str = "no DAX: the share is read-only";
/// The end of a line's head in the daemon's log, if the line is an answer: the module that logs it.
const ANSWER: &str = "::behaviour] ";
const TAG: &str = "probe";
const MOUNT_POINT: &str = "/mnt/probe";

/// How a QEMU implements a device's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Each mapping is a region of the machine's memory, as in QEMU 11.1.
    Regions,
    /// The whole window is one region, as with this project's patches (qemu/patches/qemu).
    OneRegion,
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regions => "a memory region for each mapping",
            Self::OneRegion => "one memory region for all mappings",
        })
    }
}

/// A daemon's findings about a QEMU's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowAnswers {
    /// The kind that follows from the answers.
    pub kind: WindowKind,
    /// The answers, as the daemon logs them. A question that needs another answer may have none.
    pub said: Vec<String>,
}

impl WindowAnswers {
    /// The number of a daemon's questions.
    pub const QUESTIONS: usize = 4;

    /// Reads the log of a daemon that has answered the guest's INIT.
    fn of(log: &str) -> Result<Self> {
        let kind = if log.contains(AS_IT_IS) {
            WindowKind::OneRegion
        } else if log.contains(NEEDS_VIEWS) {
            WindowKind::Regions
        } else {
            bail!("the daemon has not logged what QEMU makes of a window:\n{log}")
        };
        let answers = log.lines().filter_map(|line| line.split_once(ANSWER));
        let said: Vec<_> = answers.map(|(_, answer)| answer.to_owned()).collect();
        ensure!(!said.is_empty(), "the daemon's log has no answer:\n{log}");
        Ok(Self { kind, said })
    }
}

impl Parts {
    /// Boots a guest and finds out how QEMU implements a window.
    ///
    /// # Errors
    ///
    /// Those of [`Self::window_answers`].
    pub async fn window(&self) -> Result<WindowKind> {
        Ok(self.window_answers().await?.kind)
    }

    /// Boots a guest with a read-only share, and reads in its daemon's log how QEMU implements the
    /// window.
    ///
    /// # Errors
    ///
    /// If the guest does not boot or mount, or the daemon does not log it.
    pub async fn window_answers(&self) -> Result<WindowAnswers> {
        let folder = tempfile::tempdir().context("no folder to share")?;
        let share = Share {
            read_only: true,
            ..Share::new(folder.path(), TAG.parse()?).with_window(WINDOW)
        };
        let vm = Vm::boot(self, VmSpec::default().share(share)).await?;
        vm.mount(TAG, MOUNT_POINT, "").await?;
        // mount(2) doesn't wait for the answer to INIT; all other requests do.
        vm.agent().check(["ls", MOUNT_POINT]).await?;
        let log = std::fs::read_to_string(vm.daemons()[0].log())?;
        let answers = WindowAnswers::of(&log)?;
        vm.power_off().await?;
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[2026-11-30T08:00:00Z INFO  virtiofs_daxd::metrics::behaviour]";

    #[test]
    fn the_daemon_s_answers_are_taken_from_its_log() {
        let log = format!(
            "[2026-11-30T08:00:00Z INFO  virtiofs_daxd::process::confine] DAX window of 2 MiB\n\
             {HEAD} {AS_IT_IS}, so no views are needed\n\
             {HEAD} mappings take no memory regions\n"
        );
        let answers = WindowAnswers::of(&log).unwrap();
        assert_eq!(answers.kind, WindowKind::OneRegion);
        let needed = format!("{AS_IT_IS}, so no views are needed");
        assert_eq!(
            answers.said,
            [needed.as_str(), "mappings take no memory regions"]
        );
    }

    #[test]
    fn a_log_without_an_answer_is_an_error() {
        let log = format!("{HEAD} each mapping takes a memory region\n");
        WindowAnswers::of(&log).unwrap_err();
        let unfit = format!("{log}[2026-11-30T08:00:00Z WARN  x] {NEEDS_VIEWS}, and\n");
        let answers = WindowAnswers::of(&unfit).unwrap();
        assert_eq!((answers.kind, answers.said.len()), (WindowKind::Regions, 1));
    }
}
