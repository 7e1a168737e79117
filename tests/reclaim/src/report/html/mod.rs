// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! report.html: one file with everything in it. It loads nothing, works without scripts, and
//! escapes every text in the template engine. It looks as the lab's own report.

mod axis;
mod plot;
mod view;

use lab_report::html::{STYLE, page};

use crate::model::Run;

const TEMPLATE: &str = include_str!("report.html");

/// The whole report.
///
/// # Errors
///
/// If the template does not fit its data, which the tests would see.
pub fn html(run: &Run) -> Result<String, minijinja::Error> {
    page(TEMPLATE, view::view(run, STYLE))
}

#[cfg(test)]
mod tests;
