// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The short words of the matrix. Capitals mark harm, and `!` marks an unexpected result, so the
//! table needs no colour.

use crate::{
    colour::Tone,
    lab::{Cell, Outcome, Verdict, grid::Group},
};

/// The meanings of the words, in the order of the legend.
pub const LEGEND: &[(&str, &str)] = &[
    ("wait", "waited for the pin"),
    ("early", "waited, and went on before the release"),
    ("spur", "waited, and was woken before the release"),
    ("slip", "went on under the pin, no harm seen"),
    ("HARM", "went on, and bytes were harmed or leaked"),
    ("refus", "refused with an error"),
    ("stuck", "did not return after the release"),
    ("hung", "hung elsewhere"),
    ("warn", "the guest's kernel complained"),
    ("PANIC", "the guest's kernel panicked"),
    ("DIED", "the VM ended"),
    ("done", "ended as it should"),
    ("skip", "not tried"),
    ("LAB", "the lab failed"),
];

/// The tone of a cell of the matrix.
pub fn tone(cell: &Cell) -> Tone {
    match cell.verdict {
        Verdict::Expected if cell.outcome.is_harmful() => Tone::Known,
        Verdict::Expected | Verdict::Fixed => Tone::Good,
        Verdict::Unexpected => Tone::Bad,
        Verdict::LabError => Tone::Lab,
        Verdict::Skipped => Tone::Dim,
    }
}

/// The word for one cell; see [`LEGEND`].
pub fn word(cell: &Cell) -> &'static str {
    match (cell.verdict, cell.outcome) {
        (Verdict::Skipped, _) => "skip",
        (Verdict::LabError, _) | (_, Outcome::NotRun) => "LAB",
        (_, Outcome::Waited) => "wait",
        (_, Outcome::Early) => "early",
        (_, Outcome::Spurious) => "spur",
        (_, Outcome::Proceeded) => "slip",
        (_, Outcome::Harmed) => "HARM",
        (_, Outcome::Refused) => "refus",
        (_, Outcome::Stuck) => "stuck",
        (_, Outcome::Hung) => "hung",
        (_, Outcome::Complained) => "warn",
        (_, Outcome::Panicked) => "PANIC",
        (_, Outcome::VmDied) => "DIED",
        (_, Outcome::Finished) => "done",
    }
}

/// The text of a group: the worst cell's word, `!` if that was unexpected, `+` if fixed, and the number of cells:
/// `wait`, `wait*20` (all of 20), `HARM!3/20` (3 of 20, and the others were no worse).
pub fn text(group: &Group<'_>) -> String {
    let worst = group.worst();
    let mark = match worst.verdict {
        Verdict::Unexpected | Verdict::LabError => "!",
        Verdict::Fixed => "+",
        Verdict::Skipped | Verdict::Expected => "",
    };
    let (alike, all) = (group.like_the_worst(), group.cells.len());
    let count = match (alike, all) {
        (_, 1) => String::new(),
        (alike, all) if alike == all => format!("*{all}"),
        (alike, all) => format!("{alike}/{all}"),
    };
    format!("{}{mark}{count}", word(worst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{fixture, grid::groups};

    #[test]
    fn the_worst_repetition_is_shown() {
        let run = fixture::small();
        let texts: Vec<_> = groups(&run.cells).iter().map(text).collect();
        let shown = ["wait", "stuck!1/2", "skip", "wait", "wait", "DIED", "LAB!"];
        assert_eq!(texts, shown);
        let twice = [&run.cells[0], &run.cells[0], &run.cells[0]];
        assert_eq!(text(&groups(twice)[0]), "wait*3");
        let fixed = fixture::ended(run.cells[0].clone(), Outcome::Waited, Verdict::Fixed, "");
        assert_eq!(text(&groups([&fixed])[0]), "wait+");
    }

    #[test]
    fn each_word_is_in_the_legend() {
        let cell = fixture::named("k", "c");
        for &outcome in Outcome::ALL {
            for &verdict in Verdict::ALL {
                let cell = fixture::ended(cell.clone(), outcome, verdict, "");
                assert!(LEGEND.iter().any(|(known, _)| *known == word(&cell)));
            }
        }
    }
}
