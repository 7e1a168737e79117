// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs a kernel's make.

use std::path::Path;
use std::process::Command;

use crate::artifacts::compile::{self, Compiler};
use crate::artifacts::progress::Unit;

/// What [`command`] runs.
pub(super) const MAKE: Compiler = Compiler {
    command: "make bzImage",
    unit: Unit::OBJECTS,
    marks: &["  CC  ", "  AS  "],
};

/// Where the compressed kernel is when all is done.
pub(super) const IMAGE: &str = "arch/x86/boot/bzImage";

/// Variables that would change the kernel of the same source: the builder's name and clock, and the
/// caller's variables for make and the compiler.
const VARIABLES: [(&str, Option<&str>); 12] = [
    ("KBUILD_BUILD_TIMESTAMP", Some("@0")),
    ("KBUILD_BUILD_USER", Some("daxlab")),
    ("KBUILD_BUILD_HOST", Some("daxlab")),
    ("KBUILD_BUILD_VERSION", Some("1")),
    ("ARCH", None),
    ("CROSS_COMPILE", None),
    ("KBUILD_OUTPUT", None),
    ("KCONFIG_CONFIG", None),
    ("KCFLAGS", None),
    ("LOCALVERSION", None),
    ("MAKEFLAGS", None),
    ("LLVM", None),
];

/// Makes a command's result depend on the source alone.
pub(super) fn reproducible(command: &mut Command) -> &mut Command {
    for (name, value) in VARIABLES {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// `make bzImage` in `folder`, with all CPUs.
pub(super) fn command(folder: &Path) -> Command {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = compile::command("make");
    command
        .arg(format!("-j{jobs}"))
        .arg("bzImage")
        .current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::tool;

    #[test]
    fn the_callers_variables_do_not_matter() {
        let mut command = tool::command("sh");
        command.args(["-c", "echo \"${KBUILD_OUTPUT-none} $KBUILD_BUILD_USER\""]);
        command.env("KBUILD_OUTPUT", "/elsewhere");
        let printed = tool::output(reproducible(&mut command)).unwrap();
        assert_eq!(printed, "none daxlab\n");
    }
}
