// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of the checks, and their overall result.

use anyhow::{Context, Result};

use super::{
    DoctorArgs,
    finding::{Finding, Mark},
    guard, guests, host, regions,
};
use crate::cli::Status;

/// Runs all checks, and prints each finding as soon as it is there.
///
/// # Errors
///
/// If the checks can't be run.
pub fn run(args: &DoctorArgs) -> Result<Status> {
    let passthrough = host::passthrough();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let mut report = Report::default();
    report.add([
        host::processor(),
        host::memory(),
        host::privileges(),
        passthrough,
        regions::regions(),
        host::run_folder(),
    ]);
    report.add(host::programs());
    runtime.block_on(async {
        let (cache, finding) = guests::cache();
        report.add([guests::fetching(), finding]);
        let Some(cache) = cache else {
            report.add(guests::unknown_without_qemu());
            return;
        };
        let (qemu, findings) = guests::qemu(&args.qemu.spec(), &cache);
        report.add(findings);
        match qemu {
            Some(qemu) => {
                report.add([guard::guard(&qemu)]);
                report.add(guests::accelerators(&qemu).await);
                report.add([guests::window(&args.qemu.spec(), &cache).await]);
            }
            None => report.add(guests::unknown_without_qemu()),
        }
        report.add([guests::series(&cache), guests::building()]);
        report.add(guests::contents(&cache));
    });
    Ok(report.close())
}

/// The findings so far.
#[derive(Default)]
struct Report {
    warnings: usize,
    failures: usize,
}

impl Report {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            println!("{finding}");
            match finding.mark() {
                Mark::Ok | Mark::Unknown => {}
                Mark::Warn => self.warnings += 1,
                Mark::Fail => self.failures += 1,
            }
        }
    }

    fn close(self) -> Status {
        let Self { warnings, failures } = self;
        if failures > 0 {
            println!("\ndaxlab share can't run here: {failures} failed, {warnings} with warnings");
            return Status::Unfit;
        }
        println!("\ndaxlab share can run here ({warnings} with warnings)");
        Status::Success
    }
}
