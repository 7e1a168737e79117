// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The exit statuses of `daxlab`.

use std::process::ExitCode;

use anyhow::Error;
use dax_cases::cases::Reason;
use dax_measure::lab::Conclusion;
use qemu_guest::vm::agent::ExitStatus;

/// The exit status of a subcommand. For a mistake on the command line, clap exits with 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0: success.
    Success,
    /// 1: `doctor` found a problem that keeps `share` from running.
    Unfit,
    /// 1: a result of `test` is unexpected, or `diff` found a regression.
    Unexpected,
    /// 2: a [`UsageError`].
    Usage,
    /// 3: the lab itself failed, so a result is missing or can't be read.
    LabFailed,
    /// 125: `share` itself failed, so the command in the guest did not run to its end.
    Failed,
    /// 125: `bisect` can't tell of this commit.
    Skip,
    /// 128: `bisect` can't go on.
    Stop,
    /// The guest command's own status: its exit code, or 128 + the number of the signal.
    Command(ExitStatus),
    /// 128 + the number of the signal that ended `daxlab`.
    Signalled(u8),
}

/// A mistake on the command line that is found only when the command is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// The selection contains no case.
    #[error("no case fits this selection; `daxlab list` names them all")]
    NoCase,
    /// The selection contains no point.
    #[error("no point fits --only; they are named such as {examples}")]
    NoPoint {
        /// Names of points.
        examples: &'static str,
    },
    /// The pattern stands for several cases.
    #[error("more than one case fits; give one name of `daxlab list`")]
    ManyCases,
    /// The case can't be a program.
    #[error("no program in the guest can show this case by itself: {0}")]
    NoProgram(Reason),
    /// Modules were given without a kernel that they could belong to.
    #[error("--modules goes with --kernel PATH only: kernels with a name bring their own modules")]
    Modules,
}

impl Status {
    /// The status of a subcommand that failed: 2 for a mistake on its command line, else its own. To git
    /// bisect 2 would be a bad commit.
    pub fn of(error: &Error, own: Self) -> Self {
        match error.is::<UsageError>() && own != Self::Stop {
            true => Self::Usage,
            false => own,
        }
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unfit | Self::Unexpected => 1,
            Self::Usage => 2,
            Self::LabFailed => 3,
            Self::Failed | Self::Skip => 125,
            Self::Stop => 128,
            Self::Command(status) => status.shell_code(),
            Self::Signalled(signal) => signal.saturating_add(128),
        }
    }
}

impl From<Conclusion> for Status {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Expected => Self::Success,
            Conclusion::Unexpected => Self::Unexpected,
            Conclusion::LabFailed => Self::LabFailed,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_guest::vm::agent::Signal;

    #[test]
    fn a_command_keeps_its_status() {
        assert_eq!(Status::Command(ExitStatus::Exited(7)).code(), 7);
        assert_eq!(Status::Command(ExitStatus::Signaled(Signal(9))).code(), 137);
        assert_eq!(Status::Signalled(15).code(), 143);
    }

    #[test]
    fn a_mistake_on_the_command_line_is_told_from_a_failure() {
        let of = |error| Status::of(&error, Status::LabFailed);
        assert_eq!(of(UsageError::NoCase.into()), Status::Usage);
        assert_eq!(of(anyhow::anyhow!("no disk")), Status::LabFailed);
    }
}
