// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs a build that takes minutes. Shows progress by the units that it compiles, and writes all
//! output to a log that is kept on failure.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cache;
use super::cache::CacheError;
use super::progress::Unit;
use super::tool::{self, ToolError};

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum CompileError {
    /// The log can't be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The command failed.
    #[error("{command} failed; its log is {}, which ends with:\n{end}", log.display())]
    Failed {
        command: &'static str,
        log: PathBuf,
        end: String,
        #[source]
        source: ToolError,
    },
}

/// How many lines of the log an error shows.
const LINES_SHOWN: usize = 8;

/// A program that compiles.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// A short form of the command, for messages.
    pub(crate) command: &'static str,
    /// The unit that it compiles.
    pub(crate) unit: Unit,
    /// Prefixes of the output lines that announce one more compiled unit.
    pub(crate) marks: &'static [&'static str],
}

/// A command that runs `program`. Its two output streams are merged, so that an error is in the log
/// where it happened.
pub(crate) fn command(program: &str) -> Command {
    let mut command = tool::command("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1", program]);
    command
}

impl Compiler {
    /// Runs such a command. `what` names the result for the user; `expected` is the number of units
    /// to compile, if known.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        cache: &Cache,
        what: &str,
        expected: Option<u64>,
    ) -> Result<(), CompileError> {
        let path = log_path(cache, what)?;
        let mut log = BufWriter::new(File::create(&path).map_err(CacheError::io("making", &path))?);
        let mut written: io::Result<()> = Ok(());
        let shown = cache.progress().build(what, self.unit, expected);
        let ran = tool::lines(command, |line| {
            if self.is_unit(line) {
                shown.one_more();
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
            Err(source) => Err(CompileError::Failed {
                command: self.command,
                end: self.end_of(&path),
                log: path,
                source,
            }),
        }
    }

    /// Whether this line announces one more compiled unit.
    fn is_unit(&self, line: &str) -> bool {
        self.marks.iter().any(|mark| line.starts_with(mark))
    }

    fn end_of(&self, log: &Path) -> String {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Lines about units that still compile after another one failed explain nothing.
        let lines: Vec<&str> = text.lines().filter(|line| !self.is_unit(line)).collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::artifacts::Progress;

    const COMPILER: Compiler = Compiler {
        command: "make it",
        unit: Unit::OBJECTS,
        marks: &["  CC "],
    };

    fn cache() -> (TempDir, Cache) {
        let folder = TempDir::new().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        (folder, cache)
    }

    fn shell(script: &str) -> Command {
        let mut command = command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_keeps_the_log_and_tells_its_end_without_units() {
        let (_folder, cache) = cache();
        let script = "echo '  CC a.o'; echo a.c:1: error: no >&2; echo '  CC b.o'; exit 2";
        let ran = COMPILER.run(&mut shell(script), &cache, "build:6.12+seed", None);
        let error = ran.unwrap_err();
        assert!(error.to_string().starts_with("make it failed"), "{error}");
        let CompileError::Failed { log, end, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(end, "a.c:1: error: no");
        assert!(log.ends_with("logs/build-6.12+seed.log"));
        assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_success_leaves_no_log() {
        let (_folder, cache) = cache();
        let ran = COMPILER.run(&mut shell("echo '  CC a.o'"), &cache, "x", Some(1));
        ran.unwrap();
        let left = fs::read_dir(cache.root().join("logs")).unwrap().count();
        assert_eq!(left, 0);
    }
}
