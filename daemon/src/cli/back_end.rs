// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--print-capabilities`: what QEMU's vhost-user.json asks a back end to say about itself.

use std::io::{self, Write};

/// Features of the schema's `BackendCapabilitiesFS`, as virtiofsd 1.14 names them.
///
/// `separate-options` says that every setting is an option of its own rather than part of `-o`.
const FEATURES: [&str; 4] = [
    "migrate-precopy",
    "posix-acl-negotiation-mode",
    "security-label-negotiation-mode",
    "separate-options",
];

/// Writes the capabilities as JSON.
///
/// # Errors
///
/// The error of writing to `out`.
pub fn print_capabilities(out: &mut impl Write) -> io::Result<()> {
    let features = FEATURES.map(|name| format!("    \"{name}\"")).join(",\n");
    writeln!(
        out,
        "{{\n  \"type\": \"fs\",\n  \"features\": [\n{features}\n  ]\n}}"
    )
}
