// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! JUnit XML: a test suite for each kernel, a test case for each cell.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Cell, Evidence, Run, Verdict, terminal::judged};
use crate::ReportError;

/// Makes the whole report.
///
/// # Errors
///
/// If it can't be written as XML. Characters that XML can't represent are left out, so this does
/// not happen.
pub fn junit(run: &Run) -> Result<String, ReportError> {
    let mut report = Report::new("daxlab");
    let started = DateTime::parse_from_rfc3339(&run.started).ok();
    if let Some(started) = started {
        report.set_timestamp(started);
    }
    for kernel in run.kernels() {
        let mut suite = TestSuite::new(kernel);
        if let Some(started) = started {
            suite.set_timestamp(started);
        }
        suite.add_properties(properties(run));
        let cells = run.cells.iter().filter(|cell| cell.kernel == kernel);
        let seconds = cells.clone().map(|cell| cell.seconds).sum();
        suite.set_time(duration(seconds));
        suite.add_test_cases(cells.map(test_case));
        report.add_test_suite(suite);
    }
    report.set_time(duration(run.cells.iter().map(|cell| cell.seconds).sum()));
    Ok(report.to_string()?)
}

fn properties(run: &Run) -> Vec<Property> {
    let host = &run.host;
    let mut properties = vec![
        Property::new("daxlab", &run.lab_version),
        Property::new("command", run.command.join(" ")),
        Property::new("host.cpu", &host.cpu),
        Property::new("host.cores", host.cores.to_string()),
        Property::new("host.accel", &host.accel),
        Property::new("host.qemu", &host.qemu),
        Property::new("host.kernel", &host.kernel),
    ];
    let shard = run.shard.map(|shard| shard.to_string());
    properties.extend(shard.map(|shard| Property::new("shard", shard)));
    properties
}

fn test_case(cell: &Cell) -> TestCase {
    let status = match cell.verdict {
        Verdict::Expected | Verdict::Fixed => TestCaseStatus::success(),
        Verdict::Skipped => told(TestCaseStatus::skipped(), &cell.why, None),
        Verdict::Unexpected => {
            let failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
            told(failure, &judged(cell), Some(cell))
        }
        Verdict::LabError => {
            let error = TestCaseStatus::non_success(NonSuccessKind::Error);
            told(error, &judged(cell), Some(cell))
        }
    };
    let name = match cell.repetition {
        ..=1 => cell.case.clone(),
        repetition => format!("{}::repetition-{repetition}", cell.case),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("daxlab.{}", cell.fs));
    case.set_time(duration(cell.seconds));
    let outcome = cell.outcome.name();
    case.add_property(Property::new("outcome", outcome));
    case.add_property(Property::new("contract", cell.contract.name()));
    case.add_property(Property::new("verdict", cell.verdict.name()));
    if cell.verdict != Verdict::Expected {
        let Evidence {
            guest_log,
            console_tail,
            ..
        } = &cell.evidence;
        if !guest_log.is_empty() {
            case.set_system_out(guest_log);
        }
        if !console_tail.is_empty() {
            case.set_system_err(console_tail);
        }
    }
    case
}

fn told(mut status: TestCaseStatus, message: &str, evidence: Option<&Cell>) -> TestCaseStatus {
    status.set_message(message);
    if let Some(cell) = evidence {
        status.set_type(cell.outcome.name());
        status.set_description(description(cell));
    }
    status
}

/// The first information for a reader of a failure.
fn description(cell: &Cell) -> String {
    let evidence = &cell.evidence;
    let mut lines = vec![judged(cell)];
    lines.extend(evidence.harm.clone());
    lines.extend(evidence.where_it_stood.iter().cloned());
    lines.extend(evidence.steps.iter().cloned());
    lines.extend(evidence.stack.clone());
    lines.join("\n")
}

/// Seconds as a duration. An invalid number, such as NaN from a broken file, counts as zero.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fixture;

    fn parsed(run: &Run) -> Report {
        let xml = junit(run).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        let cases = report.test_suites.iter().map(|suite| suite.tests);
        assert_eq!(cases.sum::<usize>(), run.cells.len(), "{xml}");
        report
    }

    #[test]
    fn suites_are_kernels() {
        let report = parsed(&fixture::small());
        let suites: Vec<_> = report.test_suites.iter().collect();
        assert_eq!(suites[0].name.as_str(), "debian:6.12");
        let counts = |suite: &TestSuite| (suite.tests, suite.skipped, suite.failures, suite.errors);
        assert_eq!(counts(suites[0]), (5, 1, 1, 0));
        assert_eq!(counts(suites[1]), (3, 0, 0, 1));
        let again = &suites[0].test_cases[2];
        let name = "matrix::fuse::vmsplice::truncate::repetition-2";
        assert_eq!(again.name.as_str(), name);
        let TestCaseStatus::NonSuccess { message, .. } = &again.status else {
            panic!("{again:?}");
        };
        let message = message.as_ref().unwrap().as_str();
        assert!(message.starts_with("stuck, not waited"), "{message}");
    }

    #[test]
    fn odd_runs_are_still_xml() {
        let report = parsed(&fixture::hostile());
        let case = &report.test_suites[0].test_cases[0];
        let name = case.name.as_str();
        assert!(name.contains("<script>&\"']]>"), "{name}");
        let log = case.system_out.as_ref().unwrap().as_str();
        assert!(log.contains("# not ok 9 - no"), "{log}");
        parsed(&fixture::all_skipped());
        parsed(&fixture::run(vec![]));
        let mut run = fixture::small();
        run.started = "yesterday".into();
        run.cells[0].seconds = -1.0;
        parsed(&run);
    }
}
