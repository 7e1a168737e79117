// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! KTAP version 1 (Documentation/dev-tools/ktap.rst), with totals like kselftest's: a subtest for
//! each kernel, and in it one for each cell.

#[cfg(test)]
mod checker;

use std::fmt::Write as _;

use super::{
    Cell, Run, Totals, Verdict,
    latency::{Samples, time},
    terminal::judged,
};
use crate::text::one_line;

/// The version line, of the report and of each subtest.
const VERSION: &str = "KTAP version 1";
/// The lines of a guest's log that are shown for an unexpected cell. results.json has all lines.
const LOG_LINES: usize = 40;

/// The whole report.
pub fn ktap(run: &Run) -> String {
    let kernels = run.kernels();
    let mut out = format!("{VERSION}\n1..{}\n", kernels.len());
    for (number, kernel) in (1..).zip(kernels) {
        let cells: Vec<_> = run.cells.iter().filter(|c| c.kernel == kernel).collect();
        let totals = subtest(&cells, &mut out);
        let result = if totals.failed + totals.lab_errors > 0 {
            "not ok"
        } else {
            "ok"
        };
        let name = name(kernel);
        let _ = write!(out, "{result} {number} {name}");
        if totals.skipped == cells.len() {
            out.push_str(" # SKIP all of its cells were skipped");
        }
        out.push('\n');
    }
    out
}

fn subtest(cells: &[&Cell], out: &mut String) -> Totals {
    let _ = write!(out, "  {VERSION}\n  1..{}\n", cells.len());
    for (number, cell) in (1..).zip(cells) {
        for line in diagnostics(cell) {
            let _ = writeln!(out, "  # {}", one_line(&line));
        }
        let _ = writeln!(out, "  {}", result(number, cell));
    }
    let totals = Totals::of(cells.iter().copied());
    let Totals {
        passed,
        known: xfail,
        fixed: xpass,
        failed,
        skipped,
        lab_errors,
    } = totals;
    let pass = passed - xfail;
    let _ = writeln!(
        out,
        "  # Totals: pass:{pass} fail:{failed} xfail:{xfail} xpass:{xpass} skip:{skipped} \
         error:{lab_errors}"
    );
    totals
}

fn result(number: usize, cell: &Cell) -> String {
    let mut name = name(&cell.case);
    if cell.repetition > 1 {
        let _ = write!(name, "::repetition-{}", cell.repetition);
    }
    let why = one_line(&cell.why);
    match cell.verdict {
        Verdict::Expected if cell.is_known_failure() => format!("ok {number} {name} # XFAIL {why}"),
        Verdict::Expected | Verdict::Fixed => format!("ok {number} {name}"),
        Verdict::Unexpected => format!("not ok {number} {name}"),
        Verdict::Skipped => format!("ok {number} {name} # SKIP {why}"),
        Verdict::LabError => format!("not ok {number} {name} # ERROR {why}"),
    }
}

/// The lines before a cell's result.
fn diagnostics(cell: &Cell) -> Vec<String> {
    let evidence = &cell.evidence;
    let mut lines = Vec::new();
    match cell.verdict {
        Verdict::Skipped => return lines,
        Verdict::Expected => lines.push(format!("{}: {}", cell.outcome.name(), cell.why)),
        Verdict::Fixed => lines.push(format!("fixed: {}", judged(cell))),
        Verdict::Unexpected | Verdict::LabError => {
            lines.push(judged(cell));
            lines.extend(evidence.harm.iter().map(|harm| format!("harm: {harm}")));
            lines.extend(evidence.where_it_stood.iter().cloned());
            lines.extend(evidence.steps.iter().cloned());
            let stack = evidence.stack.iter().flat_map(|stack| stack.lines());
            lines.extend(stack.map(|line| format!("stack: {line}")));
            let log = tail(&evidence.guest_log, LOG_LINES);
            lines.extend(log.map(|line| format!("guest: {line}")));
        }
    }
    let wake = Samples::new(evidence.wake_us.clone());
    if let (Some(median), Some(p99)) = (wake.median(), wake.percentile(99)) {
        let n = wake.samples().len();
        lines.push(format!("wake n:{n} median_us:{median} p99_us:{p99}"));
    }
    let took = time((cell.seconds * 1e6) as u64);
    lines.push(format!("took {took}"));
    lines
}

/// The last lines of a text.
fn tail(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let lines = text.lines().count();
    text.lines().skip(lines.saturating_sub(count))
}

/// The name of a test, without `#`, which would begin a directive.
fn name(text: &str) -> String {
    let name = one_line(text).replace('#', "_");
    let name = name.trim();
    if name.is_empty() {
        return "unnamed".into();
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fixture;

    #[test]
    fn a_small_run() {
        let shown = ktap(&fixture::small());
        assert_eq!(shown, include_str!("ktap/small.ktap"), "\n{shown}");
    }

    #[test]
    fn each_report_keeps_the_rules() {
        for (run, tests, failures) in [
            (fixture::small(), 8 + 2, 2 + 2),
            (fixture::hostile(), 2 + 1, 1 + 1),
            (fixture::all_skipped(), 2 + 1, 0),
            (fixture::run(vec![]), 0, 0),
            (fixture::complete(&["a", "b"]), 2 * 690 + 2, 0),
        ] {
            let seen = checker::check(&ktap(&run)).unwrap();
            assert_eq!((seen.tests, seen.failures), (tests, failures));
        }
    }

    #[test]
    fn a_kernel_with_nothing_but_skips_is_skipped() {
        let shown = ktap(&fixture::all_skipped());
        assert!(shown.contains("\nok 1 debian:6.1 # SKIP "), "{shown}");
        assert!(shown.contains("matrix::xfs::dio-read::punch # SKIP no KVM\n"));
    }
}
