// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Checks whether QEMU can be started with the guard, `qemu/guard`, by starting it.

use std::{path::Path, process::Output};

use qemu_guest::artifacts::Qemu;
use qemu_guest::vm::Programs;

use super::finding::{Finding, chain};

pub const SUBJECT: &str = "guard";

/// The variable that makes the guard print a line when it is loaded.
const ASK: &str = "QEMU_GUARD_HELLO";
/// The line that the guard prints.
const HELLO: &str = "qemu-guard: loaded";

/// Checks whether the guard exists, and whether this QEMU's loader loads it.
pub fn guard(qemu: &Qemu) -> Finding {
    match Programs::guard() {
        Ok(library) => preloaded(qemu, &library),
        Err(error) => without(chain(&error)),
    }
}

fn preloaded(qemu: &Qemu, library: &Path) -> Finding {
    let guarded = match qemu.clone().preloading(library) {
        Ok(guarded) => guarded,
        Err(error) => return without(chain(&error)),
    };
    let version = guarded.command().arg("--version").env(ASK, "1").output();
    match version {
        Ok(output) => judge(library, &output),
        Err(error) => without(format!("{}: {error}", library.display())),
    }
}

/// A loader that can't load a library prints a message and starts the program all the same. So only
/// the library's own line proves that it was loaded.
fn judge(library: &Path, output: &Output) -> Finding {
    let said = String::from_utf8_lossy(&output.stderr);
    let library = library.display();
    if !output.status.success() {
        return without(format!(
            "QEMU doesn't start with {library}: {}",
            said.trim()
        ));
    }
    if said.lines().any(|line| line == HELLO) {
        return Finding::ok(SUBJECT, format!("QEMU starts with {library}"));
    }
    let why = match said.trim() {
        "" => "the library says nothing; is QEMU linked statically?",
        said => said,
    };
    without(format!("QEMU starts without {library}: {why}"))
}

/// The finding without a guard: `share` doesn't start then, unless an option permits that.
fn without(found: String) -> Finding {
    Finding::fail(SUBJECT, found).mend(
        "cargo build --release -p qemu-guard; or share --no-guard, where a mapped page that the \
         host can't supply ends the VM",
    )
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

    use super::*;
    use crate::doctor::finding::Mark;

    #[test]
    fn only_the_library_s_own_word_counts() {
        let refused = "ERROR: ld.so: object 'g.so' from LD_PRELOAD cannot be preloaded \
                       (wrong ELF class: ELFCLASS32): ignored.\n";
        let cases = [
            (0, "qemu-guard: loaded\n", Mark::Ok, "QEMU starts with g.so"),
            (0, refused, Mark::Fail, "wrong ELF class"),
            (0, "", Mark::Fail, "linked statically"),
            (1, "qemu-guard: loaded\n", Mark::Fail, "doesn't start"),
        ];
        for (status, stderr, mark, text) in cases {
            let output = Output {
                status: ExitStatus::from_raw(status << 8),
                stdout: Vec::new(),
                stderr: stderr.into(),
            };
            let finding = judge(Path::new("g.so"), &output);
            assert_eq!(finding.mark(), mark, "{finding}");
            assert!(finding.to_string().contains(text), "{finding}");
        }
    }
}
