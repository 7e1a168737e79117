// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What this machine must have to build QEMU.

use crate::artifacts::needs;
use crate::artifacts::tool;

const PROGRAMS: [(&str, &str); 8] = [
    ("gcc", "gcc"),
    ("ninja", "ninja-build"),
    ("patch", "patch"),
    ("pkg-config", "pkg-config"),
    ("python3", "python3"),
    ("strip", "binutils"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

const HEADERS: [(&str, &str); 3] = [
    ("stdio.h", "libc6-dev"),
    ("libfdt.h", "libfdt-dev"),
    ("zlib.h", "zlib1g-dev"),
];

/// The Debian packages of which this machine lacks something that building needs.
pub fn missing() -> Vec<&'static str> {
    let mut missing = needs::missing(&PROGRAMS, &HEADERS);
    let lacks = |program: &str, arguments: &[&str]| {
        tool::output(tool::command(program).args(arguments)).is_err()
    };
    // Its headers are where only pkg-config knows.
    if lacks("pkg-config", &["--exists", "glib-2.0"]) {
        missing.push("libglib2.0-dev");
    }
    // What the module venv needs beyond Python itself.
    if lacks("python3", &["-c", "import ensurepip"]) {
        missing.push("python3-venv");
    }
    missing
}
