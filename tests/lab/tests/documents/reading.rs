// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Extracts a document's references, and finds their targets in the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the repository").to_owned()
}

/// All files of the repository whose names end with this suffix.
pub fn files(suffix: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(entry.path());
            } else if kind.is_file() && name.ends_with(suffix) {
                found.push(entry.path());
            }
        }
    }
    found
}

pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of code blocks, or the lines outside of them.
pub fn lines(text: &str, of_code: bool) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && is_code == of_code
    })
}

pub fn prose(text: &str) -> String {
    lines(text, false).collect::<Vec<_>>().join("\n")
}

/// The texts between backticks, which may contain a line break.
pub fn spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// A heading's anchor, as the web pages of repositories form it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept: String = heading.chars().filter(kept).collect();
    kept.replace(' ', "-")
}

/// The reason why a link of the document is broken. Links out of the repository are not checked.
fn dead(document: &Path, link: &str) -> Option<String> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => document.to_owned(),
        _ if path.contains(':') => return None,
        _ => document.parent()?.join(path),
    };
    let told = |why| Some(format!("{}: {link}: {why}", document.display()));
    if !target.exists() {
        return told("no such file");
    }
    if fragment.is_empty() || target.extension().is_none_or(|kind| kind != "md") {
        return None;
    }
    let target = text(&target);
    let mut headings = lines(&target, false).filter(|line| line.starts_with('#'));
    match headings.any(|line| anchor(line) == fragment) {
        true => None,
        false => told("no such heading"),
    }
}

pub fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1);
    let links = targets.filter_map(|rest| rest.split_once(')'));
    links.filter_map(|(link, _)| dead(document, link)).collect()
}

pub fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// A word such as `group::test` or `path/of/a/file.rs::test`, as its two parts.
pub fn test_name(word: &str) -> Option<(&str, &str)> {
    let (place, name) = word.rsplit_once("::")?;
    let is_path = |c: char| is_name(c) || "/.-:…".contains(c);
    let is_one = !name.is_empty() && name.chars().all(is_name) && place.chars().all(is_path);
    is_one.then_some((place, name))
}

/// The functions of a source file.
pub fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.split("fn ").skip(1).map(|rest| {
        let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        rest.split(end).next().unwrap_or_default()
    })
}

/// A file or folder of the repository that a span names: any path of a source file, and any path
/// that begins with one of the top folders.
pub fn source_path(span: &str) -> Option<&str> {
    let path = span.split("::").next()?;
    let is_path = path.contains('/') && path.chars().all(|c| is_name(c) || "-./".contains(c));
    let rooms = ["daemon/", "qemu/", "shared-window/", "tests/"];
    // The tests of QEMU itself are not ours.
    let is_ours =
        rooms.iter().any(|room| path.starts_with(room)) && !path.starts_with("tests/qtest/");
    (is_path && (is_ours || path.ends_with(".rs"))).then_some(path)
}

/// Whether a path exists, relative to the root, to the document or to its crate.
pub fn exists(document: &Path, path: &str) -> bool {
    let folders = document.ancestors().skip(1).take(2);
    let folders = folders.flat_map(|folder| [folder.to_owned(), folder.join("src")]);
    folders
        .chain([root()])
        .any(|folder| folder.join(path).exists())
}

/// All names that a test or a group of tests can have: functions, ends of texts, and modules.
pub fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(".rs") {
        let source = text(&path);
        names.extend(functions(&source).map(str::to_owned));
        let texts = source.split('"').skip(1);
        let ends = texts.filter_map(|text| text.rsplit("::").next());
        names.extend(
            ends.filter(|end| end.chars().all(is_name))
                .map(str::to_owned),
        );
        let parts = path.iter().map(|part| part.to_string_lossy());
        names.extend(parts.map(|part| part.trim_end_matches(".rs").to_owned()));
    }
    names
}

/// The arguments of each of a document's commands of daxlab, in its prose and in its code.
pub fn commands(document: &str) -> Vec<Vec<String>> {
    let prose = prose(document).replace('\n', " ");
    let code = lines(document, true).collect::<Vec<_>>().join("\n");
    let code = code.replace("\\\n", " ");
    let lines = spans(&prose).chain(code.lines());
    lines.filter_map(arguments).collect()
}

/// The arguments of daxlab in a line of a document. `None` if the line runs another program, or is
/// no complete command.
pub fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches("$ ").trim();
    let (program, rest) = line.split_once(char::is_whitespace)?;
    let mut arguments = match program {
        "tests/daxlab.sh" | "daxlab" => vec![],
        "qemu/share.sh" => vec!["share".to_owned()],
        _ => return None,
    };
    let mut quoted = false;
    let words = rest.split(|c: char| {
        quoted ^= c == '\'';
        c.is_whitespace() && !quoted
    });
    for word in words.filter(|word| !word.is_empty()) {
        match word {
            // What follows is the guest's command, a comment, or the shell's.
            "--" | "#" | ">" | "<" | "2>" => break,
            _ if word.contains(['…', '|', '$', '[', ';']) => return None,
            _ => arguments.push(word.replace('\'', "")),
        }
    }
    // daxlab's output also begins with its name.
    let command = arguments.first()?;
    let is_command = command.chars().all(|c| c.is_ascii_lowercase());
    is_command.then_some(arguments)
}
