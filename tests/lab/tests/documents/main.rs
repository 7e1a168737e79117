// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Checks that files, headings, tests and options that documents name exist.

mod cases;
mod reading;

use std::process::Command;

use reading::{
    arguments, commands, dead_links, exists, files, functions, is_name, names, prose, root,
    source_path, spans, test_name, text,
};

/// The list of oracles names a file for each test.
const ORACLES: &str = "tests/docs/oracles.md";
/// A table there names tests without their group.
const TRAPS: &str = "tests/README.md";

/// The reason why daxlab rejects these arguments. daxlab parses all of them before it shows its
/// help.
fn mistake(arguments: &[String]) -> Option<String> {
    let mut daxlab = Command::new(env!("CARGO_BIN_EXE_daxlab"));
    let output = daxlab.args(arguments).arg("--help").output();
    let output = output.expect("daxlab");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

#[test]
fn every_link_leads_somewhere() {
    let documents = files(".md");
    assert!(documents.contains(&root().join(TRAPS)));
    let dead = documents
        .iter()
        .flat_map(|path| dead_links(path, &text(path)));
    let dead: Vec<_> = dead.collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn every_path_leads_somewhere() {
    let mut missing = Vec::new();
    for document in files(".md") {
        let prose = prose(&text(&document));
        let paths = spans(&prose).filter_map(source_path);
        let unknown = paths.filter(|path| !exists(&document, path));
        missing.extend(unknown.map(|path| format!("{}: {path}", document.display())));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_oracle_has_its_test() {
    let list = prose(&text(&root().join(ORACLES)));
    let in_files = spans(&list).filter_map(test_name);
    let in_files: Vec<_> = in_files.filter(|(path, _)| path.ends_with(".rs")).collect();
    assert!(in_files.len() > 100, "{ORACLES} names {}", in_files.len());
    let missing = in_files.iter().filter(|(path, name)| {
        let path = root().join(path);
        !path.exists() || !functions(&text(&path)).any(|function| function == *name)
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{ORACLES}: {missing:#?}");
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let names = names();
    let mut missing = Vec::new();
    for path in files(".md") {
        let prose = prose(&text(&path));
        let named = spans(&prose).flat_map(str::split_whitespace);
        let unknown = named.filter_map(test_name);
        let unknown = unknown.filter(|(_, name)| !names.contains(*name));
        missing.extend(unknown.map(|name| format!("{}: {name:?}", path.display())));
    }
    let traps = text(&root().join(TRAPS));
    let (_, table) = traps.split_once("## Which test").expect("the table");
    let unknown = spans(table).filter(|word| word.chars().all(is_name) && !names.contains(*word));
    missing.extend(unknown.map(|name| format!("{TRAPS}: {name}")));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_command_of_a_document_is_understood() {
    let (mut found, mut mistakes) = (0, Vec::new());
    for path in files(".md") {
        for command in commands(&text(&path)) {
            found += 1;
            let wrong = mistake(&command);
            mistakes.extend(wrong.map(|said| format!("{}: {command:?}: {said}", path.display())));
        }
    }
    assert!(found > 50, "{found} commands were found");
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn what_is_missing_is_found() {
    let document = root().join(TRAPS);
    let text = "# A\n[one](README.md#rooms) [two](#no)\n```\n[three](none)\n```\n[four](none#x)\n";
    let found = dead_links(&document, text);
    let told = ["#no: no such heading", "none#x: no such file"];
    assert_eq!(found.len(), told.len(), "{found:?}");
    let alike = found
        .iter()
        .zip(told)
        .all(|(found, told)| found.ends_with(told));
    assert!(alike, "{found:?}");

    let found = spans("`a/b.rs::one`, `a group::two` `Type::Value` no::one");
    let found: Vec<_> = found
        .flat_map(str::split_whitespace)
        .filter_map(test_name)
        .collect();
    assert_eq!(found, [("a/b.rs", "one"), ("group", "two")]);
    let source = "fn one() {}\npub async fn two<'h>(host: &'h Host) {}";
    assert_eq!(functions(source).collect::<Vec<_>>(), ["one", "two"]);
    assert!(!names().contains(&["a", "name", "of", "nothing"].join("_")));

    assert_eq!(source_path("tests/no/such"), Some("tests/no/such"));
    assert_eq!(source_path("src/no_such.rs::test"), Some("src/no_such.rs"));
    assert_eq!(source_path("matrix/slots"), None);
    assert!(exists(&document, "lab/tests/documents") && !exists(&document, "tests/no/such"));

    let line = "$ tests/daxlab.sh test --case 'a b::*' --fs fuse   # why";
    assert_eq!(
        arguments(line).unwrap(),
        ["test", "--case", "a b::*", "--fs", "fuse"]
    );
    assert_eq!(
        arguments("qemu/share.sh DIR -- ls").unwrap(),
        ["share", "DIR"]
    );
    assert_eq!(arguments("tests/daxlab.sh top [ADDR|PATH]"), None);
    let wrong = mistake(&arguments("daxlab test --kernels x").unwrap());
    assert!(wrong.is_some_and(|said| said.contains("--kernels")));
}
