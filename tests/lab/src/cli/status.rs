// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The exit statuses of `daxlab`.

use std::process::ExitCode;

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
    /// 2: a mistake on the command line that is found only later: no case matches.
    Usage,
    /// 3: the lab itself failed, so a result is missing or can't be read.
    LabFailed,
    /// 125: `share` itself failed, so the command in the guest did not run to its end.
    Failed,
    /// The guest command's own status: its exit code, or 128 + the number of the signal.
    Command(ExitStatus),
    /// 128 + the number of the signal that ended `daxlab`.
    Signalled(u8),
}

impl Status {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unfit | Self::Unexpected => 1,
            Self::Usage => 2,
            Self::LabFailed => 3,
            Self::Failed => 125,
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
}
