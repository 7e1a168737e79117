// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A private apt for one Debian suite, which need not be this machine's own.
//!
//! This changes nothing of the machine's apt: configuration, lists, package state and downloads are
//! in the cache. The machine's configuration says how to reach mirrors (`Acquire::…`: proxies,
//! retries and so on; credentials in /etc/apt/auth.conf.d work as usual). Every index must be
//! signed by Debian's archive keys, and apt checks each package against it.

mod archive;
mod config;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use archive::Archive;
use config::{ValidUntil, configuration, source};

use super::cache::{Cache, CacheError, Lock};
use super::mirror::{self, Mirror, MirrorError};
use super::progress::Progress;
use super::tool::{self, ToolError};

/// Why a suite can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AptError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// This machine's mirror is not known.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// apt failed.
    #[error("apt with Debian {suite}")]
    Apt {
        suite: String,
        #[source]
        source: ToolError,
    },
    /// This machine's archive keys are older than the suite.
    #[error(
        "the index of Debian {suite} is signed with a key that this machine does not know: \
         upgrade the package debian-archive-keyring"
    )]
    UnknownKey {
        suite: String,
        #[source]
        source: ToolError,
    },
    /// A package file is missing or damaged after it was downloaded.
    #[error("{} is not the file with SHA-256 {sha256} that the index names", file.display())]
    Digest { file: PathBuf, sha256: String },
    /// The index has no such package.
    #[error("Debian {suite} has no package {package}")]
    Missing { suite: String, package: String },
}

/// How long an index is used without an update. If it is too old for the mirror, a download fails,
/// and then the index is updated at once.
const INDEX_FRESH: Duration = Duration::from_secs(3600);

/// Which packages to download.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want<'a> {
    /// These and all that they depend on, down to the C library; no recommendations.
    Closure(&'a [String]),
    /// Just these.
    Exactly(&'a [String]),
}

impl Want<'_> {
    /// Completes an apt-get command.
    fn ask(self, apt: &mut Command) -> &mut Command {
        match self {
            Self::Closure(packages) => apt
                .args(["-y", "--download-only", "install"])
                .args(packages),
            Self::Exactly(packages) => apt.arg("download").args(packages),
        }
    }
}

/// One suite, ready for queries. It holds the cache's lock.
pub(crate) struct Suite<'a> {
    name: &'a str,
    home: PathBuf,
    progress: Progress,
    _lock: &'a Lock,
    /// Whether the index was updated by this very run.
    updated: Cell<bool>,
}

impl<'a> Suite<'a> {
    /// Sets up apt for `name`, and fetches its index if necessary.
    pub(crate) fn open(cache: &Cache, lock: &'a Lock, name: &'a str) -> Result<Self, AptError> {
        let home = cache.apt().join(name);
        let progress = *cache.progress();
        let suite = Self {
            name,
            home,
            progress,
            _lock: lock,
            updated: Cell::new(false),
        };
        for folder in [
            "parts",
            "none/partial",
            "lists/partial",
            "archives/partial",
            "state",
        ] {
            let path = suite.home.join(folder);
            fs::create_dir_all(&path).map_err(CacheError::io("making", &path))?;
        }
        suite.remove_leftovers()?;
        suite.write("state/status", "")?;
        let dump =
            tool::output(tool::command("apt-config").arg("dump")).map_err(suite.apt_failed())?;
        suite.write("apt.conf", &configuration(&suite.home, &dump))?;
        if !suite.is_fresh() {
            suite.update()?;
        }
        Ok(suite)
    }

    /// Removes the leftovers of an apt that was killed or had no space, from its index in binary
    /// form.
    fn remove_leftovers(&self) -> Result<(), CacheError> {
        let entries = fs::read_dir(&self.home).map_err(CacheError::io("reading", &self.home))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("pkgcache.bin.") {
                let path = entry.path();
                fs::remove_file(&path).map_err(CacheError::io("removing", &path))?;
            }
        }
        Ok(())
    }

    /// The version of `package` that would be downloaded.
    pub(crate) fn version(&self, package: &str) -> Result<String, AptError> {
        let shown = self.apt_cache(&["show", "--no-all-versions", package])?;
        let version = shown
            .lines()
            .find_map(|line| line.strip_prefix("Version: "));
        version
            .map(str::to_owned)
            .ok_or_else(|| self.missing(package))
    }

    /// The names of the packages that `package` depends on, alternatives included.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>, AptError> {
        let shown = self.apt_cache(&["depends", package])?;
        Ok(shown
            .lines()
            .filter_map(dependency)
            .map(str::to_owned)
            .collect())
    }

    /// Downloads packages, and returns their files.
    pub(crate) fn download(&self, what: &str, want: Want<'_>) -> Result<Vec<PathBuf>, AptError> {
        match self.try_download(what, want) {
            Err(error) if !self.updated.get() => {
                log::info!(
                    "updating the index of Debian {}, for a download failed: {error:?}",
                    self.name
                );
                self.update()?;
                self.try_download(what, want)
            }
            done => done,
        }
    }

    /// Removes the packages that were downloaded.
    pub(crate) fn clean(&self) -> Result<(), AptError> {
        tool::output(self.apt_get().arg("clean")).map_err(self.apt_failed())?;
        Ok(())
    }

    fn try_download(&self, what: &str, want: Want<'_>) -> Result<Vec<PathBuf>, AptError> {
        let folder = self.home.join("archives");
        let archives = self.announced(want)?;
        for archive in &archives {
            archive.remove_if_damaged(&folder)?;
        }
        let bytes = archives.iter().map(|archive| archive.size).sum();
        let shown = self.progress.download(what, bytes);
        let each = |line: &str| {
            if let Some(percent) = percent(line) {
                shown.percent(percent);
            }
        };
        // `download` leaves its files in the working folder, `install` in the archives.
        let mut apt = self.apt_get();
        apt.arg("-oAPT::Status-Fd=1").current_dir(&folder);
        tool::lines(want.ask(&mut apt), each).map_err(self.apt_failed())?;
        let files = archives
            .iter()
            .map(|archive| archive.verify(&folder))
            .collect::<Result<_, _>>()?;
        shown.done();
        Ok(files)
    }

    /// The files of the packages. apt does not list files that it already has, so it gets a folder
    /// without any.
    fn announced(&self, want: Want<'_>) -> Result<Vec<Archive>, AptError> {
        let nothing = self.home.join("none");
        let mut apt = self.apt_get();
        apt.args(["--print-uris", "-oAcquire::ForceHash=sha256"])
            .current_dir(&nothing);
        apt.arg(format!("-oDir::Cache::Archives={}", nothing.display()));
        let printed = tool::output(want.ask(&mut apt)).map_err(self.apt_failed())?;
        Ok(printed.lines().filter_map(Archive::parse).collect())
    }

    fn update(&self) -> Result<(), AptError> {
        self.progress
            .note(&format!("updating the index of Debian {}", self.name));
        let mut failure = None;
        for mirror in mirror::candidates(&self.home.join("none"))? {
            match self.update_from(&mirror) {
                Ok(()) => {
                    self.updated.set(true);
                    return self.write("updated", "");
                }
                Err(error) => {
                    log::info!("{} does not serve: {error:?}", mirror.0);
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or(MirrorError::None.into()))
    }

    fn update_from(&self, mirror: &Mirror) -> Result<(), AptError> {
        self.write_source(mirror, ValidUntil::Checked)?;
        match self.apt_get_update() {
            Err(ToolError::Failed { stderr, .. }) if stderr.contains("is expired") => {
                self.progress.note(&format!(
                    "the mirror's index of Debian {} has expired; it is used all the same, its signature checked",
                    self.name
                ));
                self.write_source(mirror, ValidUntil::Ignored)?;
                self.apt_get_update().map_err(self.update_failed())
            }
            done => done.map_err(self.update_failed()),
        }
    }

    /// apt uses gpgv or sqv, and each has its own message for an unknown key.
    fn update_failed(&self) -> impl FnOnce(ToolError) -> AptError {
        let suite = self.name.to_owned();
        move |source| match &source {
            ToolError::Failed { stderr, .. }
                if stderr.contains("NO_PUBKEY") || stderr.contains("Missing key") =>
            {
                AptError::UnknownKey { suite, source }
            }
            _ => AptError::Apt { suite, source },
        }
    }

    fn write_source(&self, mirror: &Mirror, valid_until: ValidUntil) -> Result<(), AptError> {
        let keyring = mirror::keyring()?;
        self.write(
            "sources.list",
            &source(mirror, self.name, &keyring, valid_until),
        )
    }

    fn apt_get_update(&self) -> Result<(), ToolError> {
        // Without --error-on, apt treats a missing index as a warning.
        tool::output(self.apt_get().args(["update", "--error-on=any"])).map(drop)
    }

    fn is_fresh(&self) -> bool {
        let age = self
            .home
            .join("updated")
            .metadata()
            .and_then(|meta| meta.modified());
        let age = age
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        age.is_some_and(|age| age < INDEX_FRESH)
    }

    fn apt_get(&self) -> Command {
        let mut command = tool::command("apt-get");
        command
            .env("APT_CONFIG", self.home.join("apt.conf"))
            .arg("-qq");
        command
    }

    fn apt_cache(&self, arguments: &[&str]) -> Result<String, AptError> {
        let mut command = tool::command("apt-cache");
        command
            .env("APT_CONFIG", self.home.join("apt.conf"))
            .args(arguments);
        tool::output(&mut command).map_err(self.apt_failed())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), AptError> {
        let path = self.home.join(name);
        Ok(fs::write(&path, text).map_err(CacheError::io("writing", &path))?)
    }

    fn apt_failed(&self) -> impl FnOnce(ToolError) -> AptError {
        let suite = self.name.to_owned();
        move |source| AptError::Apt { suite, source }
    }

    /// The error of not finding a package.
    pub(crate) fn missing(&self, package: &str) -> AptError {
        AptError::Missing {
            suite: self.name.to_owned(),
            package: package.to_owned(),
        }
    }
}

/// The share of a download that is done, from a line such as `dlstatus:3:42.5:Retrieving …`.
fn percent(line: &str) -> Option<f64> {
    line.strip_prefix("dlstatus:")?
        .split(':')
        .nth(1)?
        .parse()
        .ok()
}

/// The package in a line of `apt-cache depends`, such as `  Depends: libc6` or ` |Depends: dracut`.
fn dependency(line: &str) -> Option<&str> {
    let (kind, package) = line.split_once(": ")?;
    let needed = matches!(
        kind.trim_start_matches([' ', '|']),
        "Depends" | "PreDepends"
    );
    (needed && !package.starts_with('<')).then_some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_prints_is_read() {
        assert_eq!(
            percent("dlstatus:3:42.5000:Retrieving file 3 of 7 (2s remaining)"),
            Some(42.5)
        );
        assert_eq!(percent("pmstatus:dpkg-exec:0:Running dpkg"), None);
        let image = "linux-image-6.1.0-1-amd64";
        assert_eq!(
            dependency("  Depends: linux-image-6.1.0-1-amd64"),
            Some(image)
        );
        assert_eq!(dependency(" |Depends: dracut"), Some("dracut"));
        assert_eq!(dependency("  Depends: <virtual>"), None);
        assert_eq!(dependency("  Recommends: firmware"), None);
    }
}
