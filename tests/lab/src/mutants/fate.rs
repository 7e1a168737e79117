// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What became of a mutant.

use dax_measure::lab::{Cell, Run, Verdict};
use qemu_guest::artifacts::kernel::Mutant;

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// A case came out otherwise than without the wrong hunk.
    Killed {
        /// The first such case.
        by: Box<Cell>,
        /// How many noticed it.
        of: usize,
    },
    /// No case noticed it, though as many were played.
    Survived(usize),
    /// The lab failed in a case, and no other one noticed it.
    Unknown(String),
}

impl Fate {
    /// The fate that follows from the results on the mutant and on the kernel that it was made from.
    pub fn of(run: &Run, control: &[Run]) -> Self {
        let passes = |case: &str| {
            let mut same = control.iter().flat_map(|run| &run.cells);
            same.any(|cell| cell.case == case && cell.verdict == Verdict::Expected)
        };
        let (sound, unsound): (Vec<&Cell>, Vec<&Cell>) =
            run.cells.iter().partition(|cell| passes(&cell.case));
        let killers: Vec<&&Cell> = sound
            .iter()
            .filter(|cell| cell.verdict == Verdict::Unexpected)
            .collect();
        if let Some(first) = killers.first() {
            return Self::Killed {
                by: Box::new((**first).clone()),
                of: killers.len(),
            };
        }
        if let Some(failed) = sound.iter().find(|cell| cell.verdict != Verdict::Expected) {
            return Self::Unknown(format!("`{}` was not played: {}", failed.case, failed.why));
        }
        match (sound.len(), unsound.first()) {
            (0, Some(cell)) => Self::Unknown(format!(
                "`{}` does not pass without the wrong hunk either",
                cell.case
            )),
            (played, _) => Self::Survived(played),
        }
    }

    /// Whether this is what the mutant's file says.
    pub fn is_expected(&self, mutant: &Mutant) -> bool {
        match self {
            Self::Killed { .. } => mutant.missed().is_none(),
            Self::Survived(_) => mutant.missed().is_some(),
            Self::Unknown(_) => false,
        }
    }
}

/// The kernel's function that a cell names: where a task hung or waited, or what complained.
pub fn place(cell: &Cell) -> Option<String> {
    let complaint = cell.why.split_once("WARNING:").map(|(_, rest)| rest);
    let words = complaint?.split_whitespace().collect::<Vec<_>>();
    let at = words.iter().position(|word| *word == "at")?;
    let named = words.get(at + 1..)?;
    let function = named.iter().find(|word| !word.contains(".c:"))?;
    Some(function.split('+').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use dax_measure::lab::{Outcome, fixture};

    use super::*;

    fn run(verdicts: &[(&str, Verdict)]) -> Run {
        let pattern = fixture::small().cells.remove(0);
        let cells = verdicts.iter().map(|(case, verdict)| Cell {
            case: (*case).to_owned(),
            verdict: *verdict,
            ..pattern.clone()
        });
        fixture::run(cells.collect())
    }

    #[test]
    fn only_a_case_that_passes_without_the_hunk_kills() {
        use Verdict::{Expected, LabError, Unexpected};
        let control = [
            run(&[("a", Expected), ("b", Unexpected)]),
            run(&[("c", Expected)]),
        ];
        let fate = |cells: &[(&str, Verdict)]| Fate::of(&run(cells), &control);
        let Fate::Killed { by, of } =
            fate(&[("b", Unexpected), ("a", Unexpected), ("c", Expected)])
        else {
            panic!("not killed");
        };
        assert_eq!((by.case.as_str(), of), ("a", 1));
        assert_eq!(fate(&[("a", Expected), ("c", Expected)]), Fate::Survived(2));
        assert!(matches!(fate(&[("b", Unexpected)]), Fate::Unknown(_)));
        assert!(matches!(fate(&[("new", Unexpected)]), Fate::Unknown(_)));
        assert!(matches!(
            fate(&[("a", LabError), ("c", Expected)]),
            Fate::Unknown(_)
        ));
        assert!(matches!(
            fate(&[("a", LabError), ("c", Unexpected)]),
            Fate::Killed { .. }
        ));
    }

    #[test]
    fn a_warning_names_its_function() {
        let cell = |why: &str| Cell {
            outcome: Outcome::Complained,
            why: why.to_owned(),
            ..fixture::small().cells.remove(0)
        };
        for why in [
            "the kernel's log: [ 2.0] WARNING: CPU: 0 PID: 77 at fs/dax.c:390 dax_disassociate_entry+0x1/0x2",
            "the kernel's log: [ 2.0] WARNING: fs/dax.c:390 at dax_disassociate_entry+0x1/0x2, CPU#0: a/77",
        ] {
            assert_eq!(place(&cell(why)).as_deref(), Some("dax_disassociate_entry"));
        }
        assert_eq!(place(&cell("it returned while the page was pinned")), None);
    }
}
