// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The programs and header files that a build needs on this machine, by their Debian packages.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use super::tool;

/// Programs or headers, each with its Debian package.
pub(crate) type Packaged<'a> = &'a [(&'static str, &'static str)];

const KERNEL_PROGRAMS: [(&str, &str); 9] = [
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

/// The C library's headers for the kernel's own tools, and libelf's for objtool, which processes
/// every kernel of this architecture.
const KERNEL_HEADERS: [(&str, &str); 2] = [("stdio.h", "libc6-dev"), ("gelf.h", "libelf-dev")];

const QEMU_PROGRAMS: [(&str, &str); 8] = [
    ("gcc", "gcc"),
    ("ninja", "ninja-build"),
    ("patch", "patch"),
    ("pkg-config", "pkg-config"),
    ("python3", "python3"),
    ("strip", "binutils"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

const QEMU_HEADERS: [(&str, &str); 4] = [
    ("stdio.h", "libc6-dev"),
    ("libfdt.h", "libfdt-dev"),
    ("slirp/libslirp.h", "libslirp-dev"),
    ("zlib.h", "zlib1g-dev"),
];

/// The Debian packages of which this machine lacks something that building a kernel needs.
pub fn kernel() -> Vec<&'static str> {
    missing(&KERNEL_PROGRAMS, &KERNEL_HEADERS)
}

/// The Debian packages of which this machine lacks something that building QEMU needs.
pub fn qemu() -> Vec<&'static str> {
    let mut missing = missing(&QEMU_PROGRAMS, &QEMU_HEADERS);
    let lacks = |program: &str, arguments: &[&str]| {
        tool::output(tool::command(program).args(arguments)).is_err()
    };
    // Only pkg-config knows the path of its headers.
    if lacks("pkg-config", &["--exists", "glib-2.0"]) {
        missing.push("libglib2.0-dev");
    }
    // The module venv needs this beyond Python itself.
    if lacks("python3", &["-c", "import ensurepip"]) {
        missing.push("python3-venv");
    }
    missing
}

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

/// Whether the compiler finds a header. Without a compiler the header does not count as missing.
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
