// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! report.html: a single file that loads nothing and works without scripts. The template engine
//! escapes every text, and is the only writer of markup.

use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

/// The parts that all templates use. The ending of a name switches escaping on.
const PARTS: [(&str, &str); 2] = [
    ("head.html", include_str!("page/head.html")),
    ("parts.html", include_str!("page/parts.html")),
];
const NAME: &str = "report.html";

/// The top of each page.
#[derive(Debug, Serialize)]
pub(crate) struct Top<'a> {
    pub title: &'a str,
    pub version: &'a str,
    pub summary: &'a str,
    pub state: &'static str,
    pub command: &'a [String],
    pub lines: Vec<(&'static str, String)>,
}

/// Makes a page from a template and its data.
///
/// # Errors
///
/// If the template does not fit its data, which the tests would notice.
pub(crate) fn page(template: &str, view: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_global("style", include_str!("page/style.css"));
    for (name, part) in PARTS {
        environment.add_template(name, part)?;
    }
    environment.add_template(NAME, template)?;
    let page = environment.get_template(NAME)?.render(Serde(view))?;
    Ok(visible(&page))
}

/// Replaces control characters, which HTML can't contain, by Unicode's pictures of them.
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
