// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A QEMU that can give virtio-fs a window: the one named, one built here, this machine's own, or one
//! fetched from a newer Debian suite into a private prefix.
//!
//! A fetched QEMU runs with the libraries that it was built for, through its own `ld.so`; it
//! replaces nothing of the machine's. It is tried before it enters the cache.

mod prefix;
mod probe;
pub mod series;
mod spec;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use probe::{DEVICE, OLDEST, QemuVersion};
pub use spec::{QemuSpec, VARIABLE};

use super::cache::{Cache, CacheError};
use super::packages::PackagesError;
use super::tool::ToolError;
use series::SeriesError;

/// Why there is no usable QEMU.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum QemuError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Its packages could not be fetched.
    #[error("getting QEMU")]
    Packages(#[from] PackagesError),
    /// It could not be built.
    #[error("building QEMU")]
    Build(#[from] SeriesError),
    /// It does not start.
    #[error("QEMU at {} does not run", path.display())]
    DoesNotRun {
        path: PathBuf,
        #[source]
        source: ToolError,
    },
    /// It does not name a version.
    #[error("{} is no QEMU: it prints {printed:?} for its version", path.display())]
    NotQemu { path: PathBuf, printed: String },
    /// It is too old to have shared memory windows.
    #[error("QEMU {version} at {} has no windows (vhost-user SHMEM), which need {OLDEST} or newer: leave out --qemu to have one fetched", path.display())]
    TooOld { path: PathBuf, version: QemuVersion },
    /// It was built without the device.
    #[error("QEMU {version} at {} was built without the device {DEVICE}: leave out --qemu to have one fetched that has it", path.display())]
    NoDevice { path: PathBuf, version: QemuVersion },
    /// A library can't be preloaded from where it is.
    #[error("{} can't be preloaded into QEMU: the dynamic loader takes no name with a space or a colon", path.display())]
    NotPreloadable { path: PathBuf },
    /// No suite of Debian has one that is new enough.
    #[error(
        "Debian {suites} on this machine's mirror has no QEMU {OLDEST} or newer (it has {found})"
    )]
    NoneNewEnough { suites: String, found: String },
    /// The packages lack an expected file.
    #[error("the packages of QEMU hold no {0}")]
    Shape(&'static str),
}

/// Where a QEMU came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The path that the caller gave.
    Given(PathBuf),
    /// Found on this machine's PATH.
    Machine(PathBuf),
    /// A private prefix in the cache.
    Cache(PathBuf),
    /// Built here, in the cache.
    Built(PathBuf),
}

/// A QEMU that has the device which carries the window.
#[derive(Clone, Debug)]
pub struct Qemu {
    argv: Vec<OsString>,
    version: QemuVersion,
    origin: Origin,
}

const PROGRAM: &str = "qemu-system-x86_64";
/// The property that makes a QEMU with the patches build a window as one without them does.
const AS_STOCK: &str = "vhost-user-base.x-shmem-single-region=off";

impl Qemu {
    /// The QEMU that `which` names. What the cache lacks is fetched or built.
    pub fn obtain(which: &QemuSpec, cache: &Cache) -> Result<Self, QemuError> {
        match which {
            QemuSpec::Path(path) => Self::at(path, Origin::Given(path.clone())),
            QemuSpec::Series => Self::built(series::obtain(cache)?, cache),
            QemuSpec::SeriesAsStock => {
                Ok(Self::built(series::obtain(cache)?, cache)?.behaving_as_stock())
            }
            QemuSpec::Stock => match Self::installed() {
                Some(qemu) => Ok(qemu),
                None => Self::fetched(prefix::obtain(cache)?),
            },
        }
    }

    /// Like [`Qemu::obtain`], but never fetches or builds: `None` if neither machine nor cache has
    /// it.
    pub fn find(which: &QemuSpec, cache: &Cache) -> Result<Option<Self>, QemuError> {
        let fetched = || prefix::cached(cache).map(|prefix| prefix.is_some());
        let is_there = match which {
            QemuSpec::Path(_) => true,
            QemuSpec::Series | QemuSpec::SeriesAsStock => {
                series::cached(cache)?.is_some() && fetched()?
            }
            QemuSpec::Stock => Self::installed().is_some() || fetched()?,
        };
        match is_there {
            true => Self::obtain(which, cache).map(Some),
            false => Ok(None),
        }
    }

    /// Preloads a library into this QEMU. If the QEMU has a loader of its own, programs that it
    /// starts do not get the library.
    ///
    /// # Errors
    /// [`QemuError::NotPreloadable`].
    pub fn preloading(mut self, library: &Path) -> Result<Self, QemuError> {
        let name = library.as_os_str();
        if name.as_bytes().iter().any(|byte| b" :".contains(byte)) {
            let path = library.to_owned();
            return Err(QemuError::NotPreloadable { path });
        }
        match self.origin {
            // The loader is the program, and its options come first.
            Origin::Cache(_) => {
                let option = ["--preload".into(), name.to_owned()];
                self.argv.splice(1..1, option);
            }
            Origin::Given(_) | Origin::Machine(_) | Origin::Built(_) => {
                let mut setting = OsString::from("LD_PRELOAD=");
                setting.push(name);
                self.argv.splice(0..0, ["env".into(), setting]);
            }
        }
        Ok(self)
    }

    /// A command that starts this QEMU; the caller adds arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]);
        command
    }

    /// The command as words, for printing: the program and its leading arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Its version.
    pub fn version(&self) -> QemuVersion {
        self.version
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn installed() -> Option<Self> {
        let path = on_path(env::var_os("PATH").as_deref())?;
        match Self::at(&path, Origin::Machine(path.clone())) {
            Ok(qemu) => Some(qemu),
            Err(reason) => {
                log::info!("not using this machine's QEMU: {reason}");
                None
            }
        }
    }

    /// The program that was built, with the firmware of the one that is fetched.
    fn built(program: PathBuf, cache: &Cache) -> Result<Self, QemuError> {
        let mut argv = vec![program.clone().into_os_string()];
        argv.extend(prefix::obtain(cache)?.data());
        let version = probe::probe(&program, &argv)?;
        Ok(Self {
            argv,
            version,
            origin: Origin::Built(program),
        })
    }

    /// Makes windows behave as they do without the patches.
    fn behaving_as_stock(mut self) -> Self {
        self.argv.extend(["-global".into(), AS_STOCK.into()]);
        self
    }

    fn at(path: &Path, origin: Origin) -> Result<Self, QemuError> {
        let argv = vec![path.as_os_str().to_owned()];
        let version = probe::probe(path, &argv)?;
        Ok(Self {
            argv,
            version,
            origin,
        })
    }

    /// A QEMU in the cache was probed when it was fetched.
    fn fetched(prefix: prefix::Prefix) -> Result<Self, QemuError> {
        let version = prefix.version()?;
        Ok(Self {
            argv: prefix.argv()?,
            version,
            origin: Origin::Cache(prefix.into_root()),
        })
    }
}

fn on_path(path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    env::split_paths(path?)
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::script;

    fn fake(text: &str) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(PROGRAM);
        script::write(&path, text).unwrap();
        (folder, path)
    }

    fn given(script: &str) -> Result<Qemu, QemuError> {
        let (_folder, path) = fake(script);
        Qemu::at(&path, Origin::Given(path.clone()))
    }

    const NEW: &str = "case $1 in --version) echo 'QEMU emulator version 11.1.0';; *)";

    #[test]
    fn a_new_qemu_with_the_device_is_taken() {
        let properties = "echo '  chardev=x'; echo '  virtio-id=x'; echo '  num_vqs=x'; \
                          echo '  vq_size=x'; echo '  config_size=x'";
        let qemu = given(&format!("{NEW} {properties};; esac")).unwrap();
        assert_eq!(qemu.version().to_string(), "11.1.0");
        assert_eq!(qemu.command().get_program(), qemu.argv()[0]);
    }

    #[test]
    fn what_is_wrong_with_a_given_qemu_is_said() {
        let old = given("echo 'QEMU emulator version 8.2.1 (Debian 1:8.2.1)'")
            .unwrap_err()
            .to_string();
        assert!(
            old.contains("QEMU 8.2.1 at ") && old.contains("leave out --qemu"),
            "{old}"
        );
        let bare = given(&format!("{NEW} echo '  vq_size=x';; esac"))
            .unwrap_err()
            .to_string();
        assert!(
            bare.contains("without the device vhost-user-test-device-pci"),
            "{bare}"
        );
        assert!(matches!(
            given("echo hello"),
            Err(QemuError::NotQemu { .. })
        ));
        assert!(matches!(given("exit 1"), Err(QemuError::DoesNotRun { .. })));
        let gone = Path::new("/nonexistent/qemu");
        assert!(matches!(
            Qemu::at(gone, Origin::Given(gone.into())),
            Err(QemuError::DoesNotRun { .. })
        ));
    }

    #[test]
    fn a_library_is_preloaded_by_whichever_loader_there_is() {
        let argv = |origin| {
            let qemu = Qemu {
                argv: vec!["first".into(), "second".into()],
                version: OLDEST,
                origin,
            };
            let preloading = qemu.preloading(Path::new("/lib/g.so"));
            preloading.unwrap().argv.join(" ".as_ref())
        };
        let path = PathBuf::from("/q");
        assert_eq!(
            argv(Origin::Cache(path.clone())),
            "first --preload /lib/g.so second"
        );
        for origin in [
            Origin::Given(path.clone()),
            Origin::Machine(path.clone()),
            Origin::Built(path),
        ] {
            assert_eq!(argv(origin), "env LD_PRELOAD=/lib/g.so first second");
        }
        let (_folder, path) = fake("exit 1");
        let qemu = Qemu {
            argv: Vec::new(),
            version: OLDEST,
            origin: Origin::Given(path),
        };
        assert!(matches!(
            qemu.preloading(Path::new("/a b/g.so")),
            Err(QemuError::NotPreloadable { .. })
        ));
    }

    #[test]
    fn the_machines_qemu_is_looked_for_on_its_path() {
        let (folder, path) = fake("");
        let list = env::join_paths([Path::new("/nonexistent"), folder.path()]).unwrap();
        assert_eq!(on_path(Some(&list)), Some(path));
        assert_eq!(on_path(None), None);
    }
}
