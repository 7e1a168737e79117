// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Checks that apply to the reports of all runs.

use std::collections::HashSet;

use crate::{Head, Host, Results, read, results::RESULTS};

/// Text that a page must not treat as markup.
pub const HOSTILE: &str = "<script>&\"'{{ x }}\u{1b}";

/// The head of an invented run.
pub fn head(schema: u32) -> Head {
    Head {
        started: "2026-01-01T00:00:00Z".into(),
        took_s: Some(100),
        command: vec!["daxlab".into(), HOSTILE.into()],
        host: Host {
            cores: 2,
            load: 1.5,
            ..Host::here("tmpfs".into())
        },
        ..Head::begin(schema, std::path::Path::new("/proc"))
    }
}

/// The names of all fields, including nested ones.
pub fn fields(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(fields(value)))
            .collect(),
        serde_json::Value::Array(values) => values.iter().flat_map(fields).collect(),
        _ => Vec::new(),
    }
}

/// Checks the requirements for every benchmark's run. A written run can be read, and other files
/// are refused with a sentence. `docs` describes each field of results.json. The page is
/// well-formed and loads nothing. A document gets its numbers once, and a document without marks is
/// left alone. Returns text, document and page.
///
/// # Panics
///
/// If a requirement is not met.
pub fn checked<R: Results + PartialEq + std::fmt::Debug>(run: &R, docs: &str) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b").join(RESULTS);
    run.write_all(path.parent().unwrap()).unwrap();
    assert_eq!(read::<R>(&path).unwrap(), *run);
    let text = std::fs::read_to_string(&path).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known = fields(&value);
    assert!(!known.is_empty());
    for field in known {
        assert!(docs.contains(&format!("`{field}`")), "{field}");
    }
    for (text, told) in [
        (r#"{"schema": 2}"#, "has schema 2"),
        (r#"{"schema": 1}"#, "is no results.json of daxlab bench"),
        ("[]", "is no results.json"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = read::<R>(&path).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let sheet = run.sheet();
    let begin = format!(
        "<!-- numbers of `{}`, made by it: change nothing here -->",
        R::COMMAND
    );
    let document = format!("above\n{begin}\nof before\n{}\nbelow\n", sheet.end);
    let document = sheet.with_numbers(&document).unwrap();
    assert!(document.starts_with("above\n") && document.ends_with("\nbelow\n"));
    assert!(!document.contains("of before"));
    assert_eq!(sheet.with_numbers(&document).as_ref(), Some(&document));
    assert_eq!(sheet.with_numbers("no marks"), None);
    let page = sheet.page().unwrap();
    checked_page(&page);
    assert!(!page.contains(HOSTILE));
    let text = sheet.text();
    assert!(!text.contains('\u{1b}'), "nothing moves the cursor");
    [text, document, page]
}

/// Elements that have no end tag.
const VOID: [&str; 4] = ["meta", "br", "line", "circle"];

/// Reads a page's tags as strictly as an XML parser. Returns the ids, and the links' targets.
///
/// # Panics
///
/// If the page is not well-formed, or refers to anything outside.
pub fn checked_page(page: &str) -> (HashSet<String>, HashSet<String>) {
    let lower = page.to_lowercase();
    for foreign in [
        "http://", "https://", "<script", "<link", "@import", "url(", "<img",
    ] {
        assert!(!lower.contains(foreign), "{foreign}");
    }
    assert!(!page.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    let (mut open, mut ids, mut targets) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() != Some(&"style") {
            assert!(!text.contains(['>', '"']), "unescaped: {text:?}");
        }
        let (tag, after) = after.split_once('>').unwrap();
        assert!(!tag.contains('<'), "{tag:?}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag:?}");
        rest = after;
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty());
        let name = name.unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in this order");
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
        let attribute = |name: &str| {
            let (_, value) = tag.split_once(&format!(" {name}=\""))?;
            Some(value.split('"').next().unwrap().to_owned())
        };
        if let Some(id) = attribute("id") {
            assert!(ids.insert(id), "{tag:?} twice");
        }
        targets.extend(attribute("href").map(|href| href.strip_prefix('#').unwrap().to_owned()));
    }
    assert!(open.is_empty(), "{open:?}");
    (ids, targets)
}
