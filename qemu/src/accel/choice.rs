// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Chooses between KVM and TCG.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::probe::{PROBE_DEADLINE, PROBE_PATIENCE, ProbeError, Verdict, probe};
use super::verdict::Memo;
use crate::vm::machine::CommandLine;

/// What runs the guest's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The host's CPUs.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// The user's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM if it really runs guests, else TCG.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// TCG, without a probe of KVM.
    Tcg,
}

/// Why no accelerator fits the choice.
#[derive(Debug, thiserror::Error)]
pub enum AccelError {
    /// KVM was chosen and runs no guest.
    #[error("KVM runs no guest here: {why}; leave out --accel kvm to run guests under TCG")]
    NoKvm {
        /// The result of the probe.
        why: String,
    },
    /// The probe guest could not even be started.
    #[error("KVM could not be probed")]
    Probe(#[from] ProbeError),
}

/// An accelerator with the reason for it.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The accelerator.
    pub accel: Accel,
    /// Why this one: a fragment for messages.
    pub why: String,
}

/// Finds out whether KVM runs guests.
#[derive(Debug, Clone)]
pub struct Prober {
    qemu: CommandLine,
    memo: Option<Memo>,
    device: PathBuf,
    /// The limit of a probe whose failure costs only speed.
    deadline: Duration,
    /// The limit of a probe whose result the user asked for.
    patience: Duration,
}

impl Accel {
    /// QEMU's arguments for this accelerator, with the CPU model that has all its features.
    pub(crate) fn args(self) -> impl Iterator<Item = OsString> {
        let words = match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        };
        words.into_iter().map(OsString::from)
    }
}

impl std::fmt::Display for Accel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

impl Prober {
    /// A prober that starts probe guests with this QEMU and remembers nothing.
    pub fn new(qemu: CommandLine) -> Self {
        Self {
            qemu,
            memo: None,
            device: "/dev/kvm".into(),
            deadline: PROBE_DEADLINE,
            patience: PROBE_PATIENCE,
        }
    }

    /// Remembers the verdict in the file `path` until the host boots or uses another QEMU.
    pub fn remember_in(mut self, path: PathBuf) -> Self {
        let probe = format!("{} {}", self.qemu, super::program::digest());
        self.memo = Some(Memo::new(path, probe));
        self
    }

    /// The accelerator for `choice`.
    ///
    /// # Errors
    /// If KVM was chosen and runs no guest, or if QEMU could not be started at all.
    pub async fn choose(&self, choice: AccelChoice) -> Result<Chosen, AccelError> {
        if choice == AccelChoice::Tcg {
            return Ok(Chosen::tcg("asked for"));
        }
        // An explicit choice is worth a new probe: the user may just have repaired KVM.
        let verdict = if choice == AccelChoice::Auto {
            self.remembered_or_probed().await?
        } else {
            self.kvm(self.patience).await?
        };
        match (verdict.obstacle(), choice) {
            (None, _) => Ok(Chosen {
                accel: Accel::Kvm,
                why: "a probe guest ran under it".into(),
            }),
            (Some(why), AccelChoice::Kvm) => Err(AccelError::NoKvm { why }),
            (Some(why), _) => Ok(Chosen::tcg(format!("KVM runs no guest here: {why}"))),
        }
    }

    /// Probes whether a guest runs under `accel` now.
    ///
    /// # Errors
    /// If QEMU could not be started.
    pub async fn verdict(&self, accel: Accel) -> Result<Verdict, ProbeError> {
        match accel {
            Accel::Kvm => self.kvm(self.patience).await,
            Accel::Tcg => probe(&self.qemu, accel, self.patience).await,
        }
    }

    async fn remembered_or_probed(&self) -> Result<Verdict, ProbeError> {
        if self.no_device().is_none()
            && let Some(verdict) = self.memo.as_ref().and_then(Memo::recall)
        {
            return Ok(verdict);
        }
        self.kvm(self.deadline).await
    }

    fn no_device(&self) -> Option<Verdict> {
        let opened = File::options().read(true).write(true).open(&self.device);
        let error = opened.err()?;
        let device = self.device.display();
        Some(Verdict::NoDevice(format!("can't open {device}: {error}")))
    }

    async fn kvm(&self, deadline: Duration) -> Result<Verdict, ProbeError> {
        if let Some(verdict) = self.no_device() {
            return Ok(verdict);
        }
        let verdict = probe(&self.qemu, Accel::Kvm, deadline).await?;
        if let Some(memo) = &self.memo {
            memo.store(&verdict);
        }
        Ok(verdict)
    }
}

impl Chosen {
    fn tcg(why: impl Into<String>) -> Self {
        Self {
            accel: Accel::Tcg,
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::script;

    /// A test fails if a script has not begun within this time.
    const MUST_BEGIN: Duration = Duration::from_secs(60);

    /// A prober whose QEMU is a shell script, with a device that opens.
    fn fake(dir: &tempfile::TempDir, text: &str) -> Prober {
        let path = dir.path().join("fake-qemu");
        script::write(&path, text).unwrap();
        Prober {
            device: "/dev/null".into(),
            ..Prober::new(CommandLine::new(path))
        }
    }

    #[tokio::test]
    async fn kvm_is_taken_when_the_probe_guest_says_done() {
        let dir = tempfile::tempdir().unwrap();
        let chosen = fake(&dir, "exit 43")
            .choose(AccelChoice::Auto)
            .await
            .unwrap();
        assert_eq!(chosen.accel, Accel::Kvm);
    }

    #[tokio::test]
    async fn a_probe_guest_that_never_ends_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("echo $$ >'{}'; exec sleep infinity", pid_file.display());
        // A short time may be over before the script has begun; then the test allows more.
        let mut deadline = Duration::from_millis(100);
        let pid = loop {
            let prober = Prober {
                deadline,
                ..fake(&dir, &script)
            };
            let chosen = prober.choose(AccelChoice::Auto).await.unwrap();
            assert_eq!(chosen.accel, Accel::Tcg);
            assert!(chosen.why.contains("did not end"), "{}", chosen.why);
            match std::fs::read_to_string(&pid_file) {
                Ok(pid) if pid.ends_with('\n') => break pid,
                _ => deadline *= 2,
            }
            assert!(
                deadline < MUST_BEGIN,
                "no script has begun in {MUST_BEGIN:?}"
            );
        };
        assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists());
    }

    #[tokio::test]
    async fn a_guest_that_kvm_can_not_run_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo 'KVM internal error. Suberror: 1' >&2; exec sleep infinity";
        let prober = Prober {
            deadline: Duration::MAX,
            ..fake(&dir, script)
        };
        let chosen = prober.choose(AccelChoice::Auto).await.unwrap();
        assert_eq!(chosen.accel, Accel::Tcg);
        assert!(chosen.why.contains("Suberror: 1"), "{}", chosen.why);
    }

    #[tokio::test]
    async fn only_what_lasts_is_remembered() {
        let moment = Duration::from_millis(100);
        for (script, deadline, lasts) in [
            ("exit 43", MUST_BEGIN, true),
            (
                "echo 'KVM internal error' >&2; exec sleep infinity",
                MUST_BEGIN,
                true,
            ),
            ("exec sleep infinity", moment, false),
            (
                "echo 'cannot allocate memory' >&2; exit 1",
                MUST_BEGIN,
                false,
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let memo = dir.path().join("memo");
            let prober = Prober {
                deadline,
                ..fake(&dir, script)
            };
            let prober = prober.remember_in(memo.clone());
            prober.choose(AccelChoice::Auto).await.unwrap();
            assert_eq!(memo.exists(), lasts, "{script}");
        }
    }

    #[tokio::test]
    async fn the_reason_names_what_qemu_said() {
        let dir = tempfile::tempdir().unwrap();
        let prober = fake(&dir, "echo 'failed to initialize kvm: no way' >&2; exit 1");
        let chosen = prober.choose(AccelChoice::Auto).await.unwrap();
        assert_eq!(chosen.accel, Accel::Tcg);
        assert!(chosen.why.contains("no way"), "{}", chosen.why);
        let error = prober.choose(AccelChoice::Kvm).await.unwrap_err();
        assert!(error.to_string().contains("no way"), "{error}");
    }

    #[tokio::test]
    async fn without_a_device_nothing_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let started = dir.path().join("started");
        let prober = Prober {
            device: dir.path().join("none"),
            ..fake(&dir, &format!("touch '{}'; exit 43", started.display()))
        };
        let chosen = prober.choose(AccelChoice::Auto).await.unwrap();
        assert_eq!(chosen.accel, Accel::Tcg);
        assert!(!started.exists());
    }

    #[tokio::test]
    async fn auto_remembers_and_an_explicit_wish_looks_again() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let prober = fake(&dir, &format!("echo >>'{}'; exit 43", runs.display()))
            .remember_in(dir.path().join("memo"));
        let count = || std::fs::read(&runs).unwrap().len();
        for (choice, expected) in [
            (AccelChoice::Auto, 1),
            (AccelChoice::Auto, 1),
            (AccelChoice::Kvm, 2),
            (AccelChoice::Auto, 2),
        ] {
            prober.choose(choice).await.unwrap();
            assert_eq!(count(), expected, "after {choice:?}");
        }
        let other = Prober {
            qemu: prober.qemu.clone().arg("other"),
            ..prober.clone()
        };
        let other = other.remember_in(dir.path().join("memo"));
        other.choose(AccelChoice::Auto).await.unwrap();
        assert_eq!(count(), 3, "another QEMU must be probed anew");
    }
}
