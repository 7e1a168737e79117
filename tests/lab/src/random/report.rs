// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The reports of a run: a table, and the lab's own files.

use std::fmt::Write as _;
use std::time::SystemTime;

use dax_measure::lab::{Cell, Contract, Evidence, Host, Outcome, Run, SCHEMA, Verdict};
use dax_measure::utc;
use dax_random::Kind;

use super::RandomArgs;
use super::hunt::{Find, Hunt, slug};

/// What was found, as a table.
pub fn table(hunt: &Hunt<'_>) -> String {
    let mut text = format!(
        "{} programs, {} steps, {} s\n",
        hunt.programs,
        hunt.steps,
        hunt.elapsed().as_secs()
    );
    for (signature, find) in &hunt.found {
        let small = match &find.small {
            Some(small) => {
                let (shown, of) = small.rate;
                let steps = small.program.steps.len();
                let path = hunt.file(signature);
                format!("{steps} steps, {shown} of {of}: {}", path.display())
            }
            None => "not made small".to_owned(),
        };
        let state = match find.deviation.finding() {
            Some(_) => "known",
            None => "NEW  ",
        };
        let (times, steps, seconds) = (find.times, find.after_steps, find.after.as_secs());
        // A string takes all that is written to it.
        let _ = writeln!(
            text,
            "{state} {signature}\n      in {times} programs, first after {steps} steps and \
             {seconds} s; {small}"
        );
    }
    text
}

/// The run as `daxlab test` has it: a cell for all programs, and one for each thing found.
pub fn run(args: &RandomArgs, release: &str, host: Host, hunt: &Hunt<'_>) -> Run {
    let whole = Cell {
        case: "random::programs".to_owned(),
        kernel: args.kernel.to_string(),
        release: release.to_owned(),
        fs: args.fs.map_or("all", |fs| fs.name()).to_owned(),
        pin: None,
        removal: None,
        repetition: 1,
        contract: Contract::MayProceed,
        expected: vec![Outcome::Finished],
        outcome: Outcome::Finished,
        verdict: match hunt.failures.is_empty() {
            true => Verdict::Expected,
            false => Verdict::LabError,
        },
        why: match hunt.failures.as_slice() {
            [] => table(hunt),
            failures => failures.join("\n"),
        },
        evidence: Evidence::default(),
        seconds: hunt.elapsed().as_secs_f64(),
    };
    let cell = |(signature, find): (&String, &Find)| {
        let outcome = outcome(&find.deviation.kind);
        let known = find.deviation.finding().is_some();
        let program = find
            .small
            .as_ref()
            .map_or(&find.program, |small| &small.program);
        Cell {
            case: format!("random::{}", slug(signature)),
            fs: program.fs.name().to_owned(),
            expected: vec![if known { outcome } else { Outcome::Finished }],
            outcome,
            verdict: if known {
                Verdict::Expected
            } else {
                Verdict::Unexpected
            },
            why: find.deviation.detail.clone(),
            evidence: Evidence {
                steps: program.to_string().lines().map(str::to_owned).collect(),
                ..Evidence::default()
            },
            seconds: find.after.as_secs_f64(),
            ..whole.clone()
        }
    };
    let found: Vec<Cell> = hunt.found.iter().map(cell).collect();
    Run {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: utc(SystemTime::now() - hunt.elapsed()),
        host,
        command: std::env::args().collect(),
        shard: None,
        cells: std::iter::once(whole).chain(found).collect(),
    }
}

/// The lab's word for a deviation.
fn outcome(kind: &Kind) -> Outcome {
    match kind {
        Kind::Early => Outcome::Early,
        Kind::Needless => Outcome::Waited,
        Kind::Hang(_) => Outcome::Stuck,
        Kind::Complaint(_) => Outcome::Complained,
        Kind::Bytes | Kind::Size => Outcome::Harmed,
        Kind::Errno(_) => Outcome::Refused,
        Kind::Killed | Kind::Panic(_) => Outcome::Panicked,
        Kind::VmDied(_) => Outcome::VmDied,
    }
}
