// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The lab's page.

mod evidence;
mod latencies;
mod view;

use super::Run;
use crate::{ReportError, page::page};

/// Makes the whole report.
///
/// # Errors
///
/// If the template does not fit its data, which the tests would notice.
pub fn html(run: &Run) -> Result<String, ReportError> {
    let summary = run.totals().to_string();
    Ok(page(
        include_str!("html/report.html"),
        view::view(run, &summary),
    )?)
}

#[cfg(test)]
mod tests;
