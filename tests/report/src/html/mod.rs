// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! report.html: one file with everything in it. It loads nothing, works without scripts, and
//! escapes every text in the template engine, which is the only writer of markup here.

mod evidence;
mod latencies;
mod plot;
mod view;

use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use super::{error::ReportError, model::Run};

/// The template; its name's ending is what turns escaping on.
const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("report.html");
/// How pages of the lab look: the content of their style element.
pub const STYLE: &str = include_str!("style.css");

/// The whole report.
///
/// # Errors
///
/// If the template does not fit its data, which the tests would see.
pub fn html(run: &Run) -> Result<String, ReportError> {
    Ok(page(TEMPLATE, view::view(run))?)
}

/// A page of the lab: the template over what it shows.
///
/// # Errors
///
/// If the template does not fit its data.
pub fn page(template: &str, view: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template(NAME, template)?;
    let page = environment.get_template(NAME)?.render(Serde(view))?;
    Ok(visible(&page))
}

/// Control characters, which HTML has no place for, as the pictures that Unicode has of them.
fn visible(page: &str) -> String {
    let picture = |c: char| match c {
        '\n' | '\t' => c,
        '\u{7f}' => '\u{2421}',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    page.chars().map(picture).collect()
}

#[cfg(test)]
mod tests;
