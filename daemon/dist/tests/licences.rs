// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the programs are made of has licences that allow to pass them on under this project's.

use std::process::Command;

use serde_json::Value;

/// Licences that want no more than their own text to be kept, by their SPDX identifiers.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression leaves a choice of allowed licences. In old manifests `/` means OR.
fn is_allowed(expression: &str) -> bool {
    let text = expression.trim();
    let operator = |word| split(text, word);
    if let Some((left, right)) = operator(" OR ").or_else(|| operator("/")) {
        return is_allowed(left) || is_allowed(right);
    }
    if let Some((left, right)) = operator(" AND ") {
        return is_allowed(left) && is_allowed(right);
    }
    match text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&text),
    }
}

/// Splits at the first operator that is in no parentheses.
fn split<'a>(text: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let mut found = text.match_indices(operator).map(|(at, _)| at);
    let at = found.find(|at| {
        let before = &text[..*at];
        before.matches('(').count() == before.matches(')').count()
    })?;
    Some((&text[..at], &text[at + operator.len()..]))
}

#[test]
fn expressions_are_read_as_spdx_says() {
    for good in [
        "MIT",
        "GPL-2.0-only OR MIT",
        "MIT/GPL-2.0",
        "(GPL-2.0-only OR MIT) AND Zlib",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-2.0-only",
        "MIT AND GPL-2.0-only",
        "(MIT OR ISC) AND GPL-2.0-only",
        "mit",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn every_dependency_may_be_passed_on() {
    let platform = "x86_64-unknown-linux-gnu";
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .args(["--filter-platform", platform])
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    // The list of packages is of all platforms; the nodes of the resolution are of this one.
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let used: Vec<_> = nodes.iter().map(|node| &node["id"]).collect();
    let packages = metadata["packages"].as_array().expect("packages");
    let used = packages
        .iter()
        .filter(|package| used.contains(&&package["id"]));
    let refused: Vec<_> = used
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| format!("{} has {}", package["name"], package["license"]))
        .collect();
    assert!(
        refused.is_empty(),
        "{refused:#?}: leave them out, or add the licence to ALLOWED if it wants no more than its own text to be kept"
    );
}
