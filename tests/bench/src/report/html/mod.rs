// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! report.html: one file with everything in it. It loads nothing, works without scripts, and
//! escapes every text in the template engine. It looks as the lab's own report.

mod axis;
mod latency_plot;
mod ratio_plot;
mod view;

use lab_report::html::{STYLE, visible};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

use crate::model::Run;

/// The template; its name's ending is what turns escaping on.
const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("report.html");

/// The whole report.
///
/// # Errors
///
/// If the template does not fit its data, which the tests would see.
pub fn html(run: &Run) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template(NAME, TEMPLATE)?;
    let page = environment
        .get_template(NAME)?
        .render(Serde(view::view(run, STYLE)))?;
    Ok(visible(&page))
}

#[cfg(test)]
mod tests;
