// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What this machine must have to build something: programs and header files, by the Debian
//! packages that they are in.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

/// Programs or headers, each with the Debian package that it is in.
pub(crate) type Packaged<'a> = &'a [(&'static str, &'static str)];

/// The Debian packages of which this machine lacks one of these programs or headers.
pub(crate) fn missing(programs: Packaged<'_>, headers: Packaged<'_>) -> Vec<&'static str> {
    let programs = programs
        .iter()
        .filter(|(program, _)| !is_installed(program));
    let headers = headers.iter().filter(|(header, _)| !is_found(header));
    programs
        .chain(headers)
        .map(|(_, package)| *package)
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
            let headers = [("stdio.h", "a"), ("no-such-header.h", "b")];
            assert_eq!(missing(&[("no-such-program", "c")], &headers), ["c", "b"]);
        }
    }
}
