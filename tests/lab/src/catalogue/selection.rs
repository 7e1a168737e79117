// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options that choose among the lab's cases.

use clap::Args;
use dax_cases::{
    cases::{self, Case, Pin, RemovalKind},
    host::FileSystem,
};
use glob::Pattern;

use crate::cli::UsageError;

/// Which cases are meant: those that fit all options given.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Only these file systems: fuse, ext4, xfs
    #[arg(long, value_name = "FS", value_delimiter = ',')]
    pub fs: Vec<FileSystem>,

    /// Only these pins; `daxlab list` has their names
    #[arg(long, value_name = "PIN", value_delimiter = ',', value_parser = pin)]
    pub pin: Vec<Pin>,

    /// Only these removals; `daxlab list` has their names
    #[arg(long, value_name = "REMOVAL", value_delimiter = ',', value_parser = removal)]
    pub removal: Vec<RemovalKind>,

    /// Only cases of this name; * stands for anything
    #[arg(long = "case", value_name = "NAME|GLOB", value_parser = Pattern::new)]
    pub cases: Vec<Pattern>,
}

impl Selection {
    /// The cases that match, in the order of the list.
    pub fn of(&self, cases: impl IntoIterator<Item = Case>) -> impl Iterator<Item = Case> {
        cases.into_iter().filter(|case| self.has(*case))
    }

    /// All cases that match.
    ///
    /// # Errors
    ///
    /// If no case matches.
    pub fn cases(&self) -> Result<Vec<Case>, UsageError> {
        let cases: Vec<Case> = self.of(cases::all()).collect();
        if cases.is_empty() {
            return Err(UsageError::NoCase);
        }
        Ok(cases)
    }

    /// The names of the cases that fit one of these patterns.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn names(patterns: &[Pattern]) -> Result<Vec<String>, UsageError> {
        let selection = Self {
            cases: patterns.to_vec(),
            ..Self::default()
        };
        Ok(selection.cases()?.iter().map(|case| case.name()).collect())
    }

    /// Whether an option other than the file systems is given.
    pub fn names_cases(&self) -> bool {
        !(self.pin.is_empty() && self.removal.is_empty() && self.cases.is_empty())
    }

    fn has(&self, case: Case) -> bool {
        let name = case.name();
        fits(&self.fs, |fs| *fs == case.fs())
            && fits(&self.pin, |pin| case.pin() == Some(*pin))
            && fits(&self.removal, |removal| case.removal() == Some(*removal))
            && fits(&self.cases, |pattern| pattern.matches(&name))
    }
}

/// An option that is not given matches everything.
fn fits<T>(wanted: &[T], is: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is)
}

fn pin(text: &str) -> Result<Pin, String> {
    let found = Pin::ALL.into_iter().find(|pin| pin.name() == text);
    found.ok_or_else(|| choices("pin", text, Pin::ALL.map(Pin::name).as_slice()))
}

fn removal(text: &str) -> Result<RemovalKind, String> {
    let found = RemovalKind::ALL
        .into_iter()
        .find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        let names = RemovalKind::ALL.map(RemovalKind::name);
        choices("removal", text, names.as_slice())
    })
}

fn choices(what: &str, text: &str, names: &[&str]) -> String {
    format!(
        "{text:?} is no {what} of the lab: use one of {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_everything() {
        let all = Selection::default().cases().unwrap();
        assert_eq!(all.len(), cases::all().len());
        assert!(!Selection::default().names_cases());
    }

    #[test]
    fn options_narrow_each_other() {
        let selection = Selection {
            fs: vec![FileSystem::Xfs, FileSystem::Ext4],
            pin: vec![Pin::Vmsplice],
            removal: vec![RemovalKind::Punch],
            cases: vec![Pattern::new("matrix::*").unwrap()],
        };
        let names = selection.cases().unwrap().into_iter().map(Case::name);
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                "matrix::ext4::vmsplice::punch",
                "matrix::xfs::vmsplice::punch"
            ]
        );
    }

    #[test]
    fn a_selection_that_nothing_fits_is_told() {
        let selection = Selection {
            fs: vec![FileSystem::Xfs],
            removal: vec![RemovalKind::ReclaimInline],
            ..Selection::default()
        };
        assert!(selection.cases().is_err());
    }
}
