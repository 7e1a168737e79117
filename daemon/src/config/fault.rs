// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Safeguards that a test may take away, to show that it would notice their absence.
//!
//! The option `--fault` is for tests only and not listed by `--help`. It may be given several
//! times, for faults in different safeguards.

use std::fmt;

use clap::ValueEnum;

/// One safeguard of the window that a test disables (`--fault`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Upgrade a live mapping by unmapping and mapping it again.
    #[value(name = "upgrade=remap")]
    RemapOnUpgrade,
    /// Hand the VMM the file itself rather than a padded view of it.
    #[value(name = "views=direct")]
    DirectViews,
    /// Never refuse a mapping for the number of memory regions.
    #[value(name = "budget=none")]
    NoBudget,
}

impl Fault {
    /// What goes wrong then, for the log.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::RemapOnUpgrade => "readers of an upgraded mapping see a hole",
            Self::DirectViews => "QEMU refuses files of odd sizes and grows empty ones",
            Self::NoBudget => "QEMU aborts when the guest maps too much",
        }
    }
}

/// As on the command line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no fault is skipped");
        f.write_str(value.get_name())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::ValueEnum as _;

    use super::Fault;
    use crate::cli::{Invocation, parse};

    /// The faults that a daemon with these options has; none where they are not understood.
    fn faults(options: &str) -> Option<Vec<Fault>> {
        let line = format!("virtiofs-daxd --socket-path /s --shared-dir /srv {options}");
        match parse(line.split_whitespace().map(OsString::from).collect()) {
            Ok(Invocation::Serve(config)) => Some(config.faults),
            _ => None,
        }
    }

    #[test]
    fn every_fault_has_its_name() {
        use Fault::{DirectViews, NoBudget, RemapOnUpgrade};
        let table = [
            ("upgrade=remap", RemapOnUpgrade),
            ("views=direct", DirectViews),
            ("budget=none", NoBudget),
        ];
        assert_eq!(table.len(), Fault::value_variants().len());
        for (name, fault) in table {
            assert_eq!(faults(&format!("--fault {name}")), Some(vec![fault]));
            assert_eq!(fault.to_string(), name);
        }
    }

    #[test]
    fn faults_combine_and_none_is_the_rule() {
        use Fault::{DirectViews, NoBudget};
        assert_eq!(faults(""), Some(vec![]));
        let two = "--fault views=direct --fault budget=none";
        assert_eq!(faults(two), Some(vec![DirectViews, NoBudget]));
        let with_legacy = "--fault views=direct -o xattr --fault budget=none";
        assert_eq!(faults(with_legacy), Some(vec![DirectViews, NoBudget]));
    }

    #[test]
    fn other_words_are_no_faults() {
        for wrong in ["--fault", "--fault views", "--fault views=padded"] {
            assert_eq!(faults(wrong), None, "{wrong}");
        }
    }
}
