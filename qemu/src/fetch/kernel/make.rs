// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs a kernel's make: progress by the objects it compiles, all of its words in a log that is
//! kept when it fails.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fetch::Cache;
use crate::fetch::cache::CacheError;
use crate::fetch::tool::{self, ToolError};

/// Why make came to no kernel.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The log can't be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It failed.
    #[error("make {target} failed; its log is {}, which ends with:\n{end}", log.display())]
    Failed {
        /// What was to be made.
        target: &'static str,
        /// All that make said.
        log: PathBuf,
        /// The last lines of it.
        end: String,
        /// How make ended.
        #[source]
        source: ToolError,
    },
}

/// Where the compressed kernel is when all is done.
pub(super) const IMAGE: &str = "arch/x86/boot/bzImage";

/// How many lines of a log are worth showing.
const LINES_SHOWN: usize = 8;

/// What would make another kernel out of the same source: whose name and clock is in it, and the
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

/// Lets a command's result depend on nothing but the source.
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
    // The shell joins both streams, so that an error stands in the log where it happened.
    let mut command = tool::command("sh");
    command
        .args(["-c", "exec make \"$@\" 2>&1", "sh"])
        .arg(format!("-j{jobs}"))
        .arg("bzImage")
        .current_dir(folder);
    command
}

/// Runs such a command; `what` names the kernel to the user, `expected` is how many objects it is
/// about to compile, as far as that is known.
pub(super) fn run(
    command: &mut Command,
    cache: &Cache,
    what: &str,
    expected: Option<u64>,
) -> Result<(), MakeError> {
    let path = log_path(cache, what)?;
    let mut log = BufWriter::new(File::create(&path).map_err(CacheError::io("making", &path))?);
    let mut written: io::Result<()> = Ok(());
    let shown = cache.progress().build(what, expected);
    let ran = tool::lines(command, |line| {
        if is_object(line) {
            shown.object();
        }
        if written.is_ok() {
            written = writeln!(log, "{line}");
        }
    });
    written
        .and_then(|()| log.flush())
        .map_err(CacheError::io("writing", &path))?;
    match ran {
        Ok(()) => {
            shown.done();
            Ok(fs::remove_file(&path).map_err(CacheError::io("removing", &path))?)
        }
        Err(source) => Err(MakeError::Failed {
            target: "bzImage",
            end: end_of(&path),
            log: path,
            source,
        }),
    }
}

fn log_path(cache: &Cache, what: &str) -> Result<PathBuf, CacheError> {
    let folder = cache.root().join("logs");
    fs::create_dir_all(&folder).map_err(CacheError::io("making", &folder))?;
    let name: String = what
        .chars()
        .map(|letter| match letter {
            '/' | ':' | ' ' => '-',
            letter => letter,
        })
        .collect();
    Ok(folder.join(format!("{name}.log")))
}

/// Whether make says with this line that it compiles something for the kernel.
fn is_object(line: &str) -> bool {
    ["  CC ", "  AS "].iter().any(|word| line.starts_with(word))
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // What still compiles when another one fails says nothing about why.
    let lines: Vec<&str> = text.lines().filter(|line| !is_object(line)).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fetch::Progress;

    fn cache() -> (TempDir, Cache) {
        let folder = TempDir::new().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        (folder, cache)
    }

    fn shell(script: &str) -> Command {
        let mut command = tool::command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_keeps_the_log_and_tells_its_end_without_objects() {
        let (_folder, cache) = cache();
        let script = "echo '  CC      a.o'; echo a.c:1: error: no; echo '  CC      b.o'; exit 2";
        let error = run(&mut shell(script), &cache, "build:6.12+seed", None).unwrap_err();
        let MakeError::Failed { log, end, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(end, "a.c:1: error: no");
        assert!(log.ends_with("logs/build-6.12+seed.log"));
        assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_success_leaves_no_log() {
        let (_folder, cache) = cache();
        run(&mut shell("echo '  CC      a.o'"), &cache, "x", Some(1)).unwrap();
        let left = fs::read_dir(cache.root().join("logs")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn the_callers_variables_do_not_matter() {
        let mut command = shell("echo \"${KBUILD_OUTPUT-none} $KBUILD_BUILD_USER\"");
        command.env("KBUILD_OUTPUT", "/elsewhere");
        let printed = tool::output(reproducible(&mut command)).unwrap();
        assert_eq!(printed, "none daxlab\n");
    }
}
