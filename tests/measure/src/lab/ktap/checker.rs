// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A reader of KTAP that is as strict as the specification: every parser accepts what it accepts.

/// The directives of the specification.
const DIRECTIVES: [&str; 5] = ["SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR"];

/// The results that were read, of subtests and of the tests that contain them.
#[derive(Debug, Default)]
pub struct Seen {
    /// The number of all results.
    pub tests: usize,
    /// The number of results that are `not ok`.
    pub failures: usize,
}

/// Checks a whole report.
pub fn check(text: &str) -> Result<Seen, String> {
    let mut lines = text.lines().peekable();
    let mut seen = Seen::default();
    level(&mut lines, 0, &mut seen)?;
    match lines.next() {
        Some(line) => Err(format!("after the end: {line:?}")),
        None => Ok(seen),
    }
}

type Lines<'a> = std::iter::Peekable<std::str::Lines<'a>>;

/// Checks the lines of one depth; true if one of its tests failed.
fn level(lines: &mut Lines<'_>, depth: usize, seen: &mut Seen) -> Result<bool, String> {
    let indent = "  ".repeat(depth);
    let mut own = || {
        let line = lines.next().ok_or("the report ends too early")?;
        let line = line.strip_prefix(&indent);
        line.ok_or_else(|| format!("not at depth {depth}"))
    };
    if own()? != "KTAP version 1" {
        return Err("no version line".into());
    }
    let plan = own()?;
    let plan = plan
        .strip_prefix("1..")
        .ok_or("no plan after the version")?;
    let plan: usize = plan.parse().map_err(|_| format!("plan {plan:?}"))?;
    let (mut count, mut failed, mut below) = (0, false, None);
    while let Some(line) = lines.peek().and_then(|line| line.strip_prefix(&indent)) {
        if line.starts_with("  KTAP version 1") {
            below = Some(level(lines, depth + 1, seen)?);
            continue;
        }
        if line.starts_with("# ") {
            lines.next();
            continue;
        }
        if count == plan {
            break;
        }
        lines.next();
        count += 1;
        let bad = result(line, count)?;
        if below.take().is_some_and(|below| below != bad) {
            return Err(format!("not what its subtests say: {line:?}"));
        }
        seen.tests += 1;
        seen.failures += usize::from(bad);
        failed |= bad;
    }
    if count != plan {
        return Err(format!("{count} results, planned {plan}"));
    }
    Ok(failed)
}

/// Checks a result line; true if it is `not ok`.
fn result(line: &str, number: usize) -> Result<bool, String> {
    let (bad, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("ok ").ok_or(format!("{line:?}"))?),
    };
    let rest = rest.strip_prefix(&format!("{number} "));
    let rest = rest.ok_or_else(|| format!("not number {number}: {line:?}"))?;
    let (name, directive) = match rest.split_once(" # ") {
        Some((name, directive)) => (name, Some(directive)),
        None => (rest, None),
    };
    if name.is_empty() || name.contains('#') || name != name.trim() {
        return Err(format!("the name {name:?}"));
    }
    let word = directive.map(|text| text.split(' ').next().unwrap_or(""));
    match word {
        Some(word) if !DIRECTIVES.contains(&word) => Err(format!("directive {word:?}")),
        Some("SKIP") if bad => Err(format!("skipped and not ok: {line:?}")),
        Some("ERROR") if !bad => Err(format!("an error and ok: {line:?}")),
        _ => Ok(bad),
    }
}

#[test]
fn broken_reports_are_seen() {
    for broken in [
        "",
        "TAP version 13\n1..0\n",
        "KTAP version 1\nok 1 a\n",
        "KTAP version 1\n1..2\nok 1 a\n",
        "KTAP version 1\n1..1\nok 2 a\n",
        "KTAP version 1\n1..1\nok 1 a#b\n",
        "KTAP version 1\n1..1\nok 1 a # PERHAPS\n",
        "KTAP version 1\n1..1\nnot ok 1 a # SKIP\n",
        "KTAP version 1\n1..1\nok 1 a\nok 2 b\n",
        "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 b\nok 1 a\n",
        "KTAP version 1\n1..1\nfree text\nok 1 a\n",
    ] {
        assert!(check(broken).is_err(), "{broken}");
    }
}
