// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What this machine must have to build a kernel.

use crate::artifacts::needs;

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

/// The C library's for the kernel's own tools, and libelf's for objtool, which every kernel of
/// this architecture is passed through.
const HEADERS: [(&str, &str); 2] = [("stdio.h", "libc6-dev"), ("gelf.h", "libelf-dev")];

/// The Debian packages of which this machine lacks something that building needs.
pub fn missing() -> Vec<&'static str> {
    needs::missing(&PROGRAMS, &HEADERS)
}
