// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab mutants`.

use std::path::PathBuf;

use clap::Args;
use qemu_guest::artifacts::kernel::{Base, Mutant};

/// Builds kernels with one wrong hunk each, and says which cases notice it
///
/// Without a name, all mutants are played: half a minute to build each, and then its cases. Results
/// of earlier runs in the same folder stay in the table.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 each mutant was killed, or survived for the reason that its file gives; 1 one survived \
without a reason, or was killed in spite of it; 2 a mistake on this command line; 3 a kernel could \
not be built, or the lab itself failed; 128 + N signal N ended the run.")]
pub struct MutantsArgs {
    /// The mutants, such as fuse-punch; --list names them
    #[arg(value_name = "NAME", value_parser = name)]
    pub names: Vec<String>,

    /// Only mutants of this version of Linux
    #[arg(long, value_name = "BASE", value_parser = base)]
    pub base: Option<Base>,

    /// List the mutants and their cases, and play nothing
    #[arg(long)]
    pub list: bool,

    /// Where the results go: a folder for each mutant
    #[arg(long, value_name = "DIR", default_value = "daxlab-mutants")]
    pub out: PathBuf,

    /// Write the table of all results in DIR to this file, too
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,

    /// How guests are run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: crate::share::AccelArg,
}

impl MutantsArgs {
    /// The mutants that are meant, in the order of the list.
    pub fn mutants(&self) -> Vec<&'static Mutant> {
        let meant = |mutant: &&Mutant| {
            let named = self.names.is_empty() || self.names.iter().any(|name| name == mutant.name);
            named && self.base.is_none_or(|base| base == mutant.base)
        };
        Mutant::ALL.iter().filter(meant).collect()
    }
}

fn name(text: &str) -> Result<String, String> {
    let known = Mutant::ALL.iter().any(|mutant| mutant.name == text);
    let choices = "it is no mutant; `daxlab mutants --list` names them all";
    known.then(|| text.to_owned()).ok_or(choices.to_owned())
}

fn base(text: &str) -> Result<Base, String> {
    let found = Base::ALL.into_iter().find(|base| base.name() == text);
    found.ok_or_else(|| {
        format!(
            "there are mutants of {}",
            Base::ALL.map(Base::name).join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use dax_cases::cases::{self, Case};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: MutantsArgs,
    }

    fn count(words: &[&str]) -> usize {
        let line = Line::parse_from(["mutants"].iter().chain(words));
        line.args.mutants().len()
    }

    #[test]
    fn a_name_is_of_each_base_that_has_it() {
        assert_eq!(count(&[]), Mutant::ALL.len());
        assert_eq!(count(&["fuse-punch"]), 2);
        assert_eq!(count(&["fuse-punch", "--base", "7.3"]), 1);
        assert_eq!(count(&["seed-warn", "--base", "7.3"]), 0);
        assert!(Line::try_parse_from(["mutants", "fuse"]).is_err());
        assert!(Line::try_parse_from(["mutants", "--base", "6.1"]).is_err());
    }

    #[test]
    fn each_case_of_a_mutant_is_one_of_the_labs() {
        let known: BTreeSet<String> = cases::all().into_iter().map(Case::name).collect();
        for mutant in Mutant::ALL {
            for cell in mutant.cells() {
                assert!(known.contains(&cell), "{}: {cell}", mutant.name);
            }
        }
    }
}
