// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The peer: virtiofsd as it is published in the crates registry, which this project's daemon is
//! compared with.
//!
//! cargo checks the sources against the digests in the registry's index and in virtiofsd's lock
//! file. Only the compiler and cargo's own settings of the caller affect the build, so that it is
//! the virtiofsd that others get.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::artifact;
use super::cache::{Cache, CacheError};
use super::compile::{self, CompileError, Compiler};
use super::needs;
use super::packages;
use super::progress::Unit;
use super::tool::{self, ToolError};

/// The version that is built.
pub const VERSION: &str = "1.14.0";
/// The environment variable that names another virtiofsd to use in its place.
pub const VARIABLE: &str = "VIRTIOFSD";

/// Why there is no virtiofsd.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum VirtiofsdError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The caller's own can't be run.
    #[error("{VARIABLE} names {}, which does not run as virtiofsd", path.display())]
    Given {
        path: PathBuf,
        #[source]
        source: ToolError,
    },
    /// The caller's own is something else.
    #[error("{VARIABLE} names {}, which is no virtiofsd: its version is {printed:?}", path.display())]
    NotVirtiofsd { path: PathBuf, printed: String },
    /// This machine lacks programs or headers.
    #[error("virtiofsd can't be built, packages are missing: apt-get install {0}")]
    Needs(String),
    /// It could not be built.
    #[error("building virtiofsd {VERSION}")]
    Build(#[from] CompileError),
}

/// A virtiofsd that can be run.
#[derive(Clone, Debug)]
pub struct Virtiofsd {
    /// The executable.
    pub path: PathBuf,
    /// What it calls itself, such as `virtiofsd 1.14.0`.
    pub version: String,
}

/// Variables of the caller's environment that could change the build.
const VARIABLES: [&str; 6] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INSTALL_ROOT",
    "CARGO_TARGET_DIR",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
];
const PROFILE_PREFIX: &str = "CARGO_PROFILE_";
/// The headers of its two C libraries.
const HEADERS: [(&str, &str); 2] = [
    ("cap-ng.h", "libcap-ng-dev"),
    ("seccomp.h", "libseccomp-dev"),
];
/// How many crates are compiled, for the progress bar.
const CRATES: u64 = 94;
const CARGO: Compiler = Compiler {
    command: "cargo install",
    unit: Unit::CRATES,
    marks: &["   Compiling "],
};

/// The virtiofsd that the variable names; else the cache's, built when it has none, which takes
/// some minutes.
pub fn obtain(cache: &Cache) -> Result<Virtiofsd, VirtiofsdError> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return given(path.into());
    }
    let path = match artifact::open(cache, &name())? {
        Some(tree) => tree,
        None => build(cache)?,
    };
    Ok(Virtiofsd {
        path: path.join(PROGRAM),
        version: format!("{PROGRAM} {VERSION}"),
    })
}

const PROGRAM: &str = "virtiofsd";

fn name() -> String {
    format!("{PROGRAM}-{VERSION}")
}

fn given(path: PathBuf) -> Result<Virtiofsd, VirtiofsdError> {
    let printed = match tool::output(tool::command(&path).arg("--version")) {
        Ok(printed) => printed.trim().to_owned(),
        Err(source) => return Err(VirtiofsdError::Given { path, source }),
    };
    if !printed.starts_with(PROGRAM) {
        return Err(VirtiofsdError::NotVirtiofsd { path, printed });
    }
    Ok(Virtiofsd {
        path,
        version: printed,
    })
}

fn build(cache: &Cache) -> Result<PathBuf, VirtiofsdError> {
    let missing = needs::missing(&[("gcc", "gcc")], &HEADERS);
    if !missing.is_empty() {
        return Err(VirtiofsdError::Needs(missing.join(" ")));
    }
    let bench = cache.bench()?;
    // The previous holder of the bench may have built it.
    if let Some(tree) = artifact::open(cache, &name())? {
        return Ok(tree);
    }
    let installed = install(cache, bench.path());
    let executable = installed.map_err(|error| cache.explained(error))?;
    artifact::obtain(cache, &name(), |_lock, tree| {
        let place = tree.join(PROGRAM);
        fs::rename(&executable, place).map_err(CacheError::io("keeping", &executable))?;
        Ok(packages::settle(tree)?)
    })
}

/// Builds it in `bench`; returns its path.
fn install(cache: &Cache, bench: &Path) -> Result<PathBuf, VirtiofsdError> {
    CARGO.run(&mut command(bench), cache, &name(), Some(CRATES))?;
    let executable = bench.join("bin").join(PROGRAM);
    let found = executable.metadata();
    found.map_err(CacheError::io("finding", &executable))?;
    Ok(executable)
}

fn command(bench: &Path) -> Command {
    let mut command = compile::command("cargo");
    command
        .args(["install", PROGRAM, "--locked", "--no-track", "--version"])
        .arg(format!("={VERSION}"))
        .arg("--root")
        .arg(bench)
        .arg("--target-dir")
        .arg(bench.join("target"))
        // In a folder without a project's settings.
        .current_dir(bench);
    let profile = env::vars_os().map(|(name, _)| name);
    let profile = profile.filter(|name| {
        name.as_encoded_bytes()
            .starts_with(PROFILE_PREFIX.as_bytes())
    });
    for name in VARIABLES.map(Into::into).into_iter().chain(profile) {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    fn told(text: &str) -> Result<Virtiofsd, VirtiofsdError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        script::write(&path, text).unwrap();
        given(path)
    }

    #[test]
    fn the_callers_own_has_to_be_one() {
        let own = told("[ $1 = --version ] && echo virtiofsd 1.13.3").unwrap();
        assert_eq!(own.version, "virtiofsd 1.13.3");
        let other = told("echo dnsmasq 2").unwrap_err().to_string();
        assert!(other.contains("VIRTIOFSD names"), "{other}");
        assert!(other.contains("no virtiofsd"), "{other}");
        let gone = given("/nonexistent/virtiofsd".into()).unwrap_err();
        assert!(matches!(gone, VirtiofsdError::Given { .. }), "{gone}");
    }

    #[test]
    fn nothing_of_the_callers_changes_the_build() {
        let command = command(Path::new("/bench"));
        let removed = |name: &str| {
            let mut set = command.get_envs();
            set.any(|(variable, value)| variable == name && value.is_none())
        };
        assert!(removed("RUSTFLAGS") && removed("CARGO_TARGET_DIR"));
        assert_eq!(command.get_current_dir(), Some(Path::new("/bench")));
    }
}
