// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What this machine must have to build a kernel.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

/// A program, and the Debian package that it is in.
const PROGRAMS: [(&str, &str); 9] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("patch", "patch"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

/// A header file, and the Debian package that it is in: the C library's for the kernel's own
/// tools, and libelf's for objtool, which every kernel of this architecture is passed through.
const HEADERS: [(&str, &str); 2] = [("stdio.h", "libc6-dev"), ("gelf.h", "libelf-dev")];

/// The Debian packages of which this machine lacks something that building needs.
pub fn missing() -> Vec<&'static str> {
    let programs = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !is_installed(program));
    let headers = HEADERS.into_iter().filter(|(header, _)| !is_found(header));
    programs
        .chain(headers)
        .map(|(_, package)| package)
        .collect()
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether the compiler finds a header. Without a compiler, that one is what is missing.
fn is_found(header: &str) -> bool {
    let mut gcc = Command::new("gcc");
    gcc.args(["-E", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = gcc.spawn() else {
        return true;
    };
    let source = format!("#include <{header}>\n");
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(source.as_bytes()));
    drop(written);
    child.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        assert!(is_installed("sh") && !is_installed("no-such-program"));
        assert!(!is_installed(""));
        if is_installed("gcc") {
            assert!(!is_found("no-such-header.h"));
        }
    }
}
