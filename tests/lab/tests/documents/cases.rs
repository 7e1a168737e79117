// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Checks that the cases which documents name exist, and that documents count them right.

use dax_cases::cases::{self, Case, KernelKind, Vmm};
use dax_measure::lab::Contract;
use glob::Pattern;

use crate::reading::{arguments, commands, files, prose, root, spans, text};

/// Has an entry for each bug that the lab found, with its case.
const FINDINGS: &str = "tests/cases/docs/findings.md";

/// Whether a name or a pattern stands for a case: with its file system, or without.
fn is_case(named: &str) -> bool {
    let matches = |text: &str| {
        let pattern = Pattern::new(text);
        pattern.is_ok_and(|pattern| {
            cases::all()
                .iter()
                .any(|case| pattern.matches(&case.name()))
        })
    };
    matches(named) || matches(&format!("{named}::*"))
}

/// The patterns after `--case` in a command.
fn patterns(arguments: &[String]) -> impl Iterator<Item = &str> {
    let after = arguments.windows(2).filter(|pair| pair[0] == "--case");
    after.map(|pair| pair[1].as_str())
}

/// A word in capitals stands for something that the reader puts in.
fn is_placeholder(pattern: &str) -> bool {
    pattern.chars().any(|c| c.is_ascii_uppercase())
}

#[test]
fn every_case_of_a_command_exists() {
    let (mut found, mut missing) = (0, Vec::new());
    for path in files(".md") {
        for command in commands(&text(&path)) {
            for pattern in patterns(&command).filter(|pattern| !is_placeholder(pattern)) {
                found += 1;
                if !is_case(pattern) {
                    missing.push(format!("{}: {pattern}", path.display()));
                }
            }
        }
    }
    assert!(found >= 2, "{found} cases were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_finding_s_case_exists() {
    let document = text(&root().join(FINDINGS));
    let (mut found, mut missing) = (0, Vec::new());
    for line in document
        .lines()
        .filter_map(|line| line.strip_prefix("- Case: "))
    {
        for named in spans(line).filter(|span| !span.contains(' ')) {
            found += 1;
            if !is_case(named) {
                missing.push(named.to_owned());
            }
        }
    }
    assert!(found >= 5, "{found} cases were found");
    assert!(missing.is_empty(), "{FINDINGS}: {}", missing.join("\n"));
}

/// A number of cases, with the words that follow it in documents.
fn counts() -> [(&'static str, usize); 4] {
    let all = cases::all();
    let of = |is: fn(&Case) -> bool| all.iter().filter(|case| is(case)).count();
    [
        (
            " must-wait cells",
            of(|case| case.pin().is_some() && case.contract() == Contract::MustWait),
        ),
        (
            " other cells come to the same",
            of(|case| case.pin().is_some() && tells_no_kernel(*case)),
        ),
        (" cells of the matrix", of(|case| case.pin().is_some())),
        (
            " host-side cases",
            of(|case| matches!(case, Case::Host { .. })),
        ),
    ]
}

/// Whether a case comes to the same on all of the lab's kernels.
fn tells_no_kernel(case: Case) -> bool {
    let of = |kernel| case.expected(kernel, Vmm::Guarded);
    let stock = of(KernelKind::Stock);
    let broken = [KernelKind::NoWait, KernelKind::NoWake];
    broken.into_iter().all(|kernel| of(kernel) == stock)
}

/// The numbers right before each place of `words`.
fn numbers<'t>(text: &'t str, words: &str) -> Vec<&'t str> {
    let number = |(at, _)| text[..at].split(|c: char| !c.is_ascii_digit()).next_back();
    text.match_indices(words).filter_map(number).collect()
}

#[test]
fn every_count_of_cases_is_right() {
    let mut wrong = Vec::new();
    for (words, count) in counts() {
        let mut found = 0;
        for path in files(".md") {
            let prose = prose(&text(&path)).replace('\n', " ");
            for number in numbers(&prose, words) {
                found += 1;
                if number != count.to_string() {
                    let path = path.display();
                    wrong.push(format!("{path}: {number}{words}, and there are {count}"));
                }
            }
        }
        assert!(found > 0, "no document says how many{words} there are");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_name_and_a_wrong_count_are_found() {
    assert!(is_case("munmap-hides-pin") && is_case("munmap-hides-pin::xfs"));
    assert!(is_case("matrix::*::dio-read::truncate"));
    assert!(!is_case("munmap-hides-pins") && !is_case("matrix::ntfs::*"));
    let line = arguments("tests/daxlab.sh test --case 'NAME::*' --case 'stale-range::*'").unwrap();
    let named: Vec<_> = patterns(&line).collect();
    assert_eq!(named, ["NAME::*", "stale-range::*"]);
    assert!(is_placeholder(named[0]) && !is_placeholder(named[1]));
    let text = "all 12 must-wait cells, and 3 must-wait cells";
    assert_eq!(numbers(text, " must-wait cells"), ["12", "3"]);
}
