// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The checked settings of `daxlab share`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use qemu_guest::vm::{VmSpec, Wanted};
use qemu_guest::{
    accel::AccelChoice, artifacts::QemuSpec, vm::machine::ByteSize, vm::process::Share,
};

use super::{
    args::{NetArg, Root, ShareArgs},
    disk::Disk,
    network,
    root::{self, RootShare},
};

/// The default window, as the daemon has it: 256 mappings of Linux's 2 MiB.
const DEFAULT_WINDOW: ByteSize = ByteSize::mib(512);

/// Arguments that contradict the host or each other.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory can't be used.
    #[error("can't share {path}", path = .path.display())]
    Dir {
        /// The path as it was given.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The path is no directory.
    #[error("can't share {path}: it is no directory", path = .path.display())]
    NoDir {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The path is not UTF-8. Like virtiofsd, the daemon takes it as text.
    #[error(
        "can't share {path}: its name is not UTF-8; bind-mount it to a folder with another name and share that",
        path = .path.display()
    )]
    NotText {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A window was asked for where nothing would be mapped.
    #[error(
        "with this QEMU a share that may only be read has no window: leave out --window, or use --qemu series"
    )]
    ReadOnlyWindow,
    /// Two shares have one tag.
    #[error("two shares have the tag {tag}: give each its own")]
    SameTag {
        /// The tag.
        tag: String,
    },
    /// The disk can't be used.
    #[error("can't boot {path}: give a disk's image", path = .path.display())]
    Disk {
        /// The path as it was given.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The daemon's options can't be split into words.
    #[error("--daemon {options:?} has a quote without its end")]
    Quote {
        /// The options as they were given.
        options: String,
    },
    /// Modules were given without a kernel that they could belong to.
    #[error("--modules goes with --kernel PATH only: Debian's kernels bring their own modules")]
    Modules,
}

/// The task in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Start a shell on this terminal.
    Shell,
    /// Run a command.
    Command(Vec<String>),
}

/// What happens if the guest finds no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowWish {
    /// Nothing: the share has no window on purpose.
    None,
    /// A message is printed, and the share is used without a window.
    Default(ByteSize),
    /// An error, because the user asked for the window.
    Asked(ByteSize),
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The share.
    pub share: Share,
    /// Further shares.
    pub others: Vec<Share>,
    /// The guest's root, unless that is its initramfs.
    pub root: Option<RootShare>,
    /// The user's own system, in place of the lab's.
    pub disk: Option<Disk>,
    /// Whether the guest has a network.
    pub network: bool,
    /// The window.
    pub window: WindowWish,
    /// The guest, without its shares.
    pub spec: VmSpec,
    /// The parts of the guest.
    pub wanted: Wanted,
    /// The task in the guest.
    pub task: Task,
    /// Whether to print the command lines only.
    pub dry_run: bool,
    /// Whether to print each step.
    pub verbose: bool,
}

impl WindowWish {
    /// The window's size.
    pub fn size(self) -> Option<ByteSize> {
        match self {
            Self::None => None,
            Self::Default(size) | Self::Asked(size) => Some(size),
        }
    }
}

impl TryFrom<ShareArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ShareArgs) -> Result<Self, ConfigError> {
        let dir = directory(&args.dir)?;
        let disk = args.disk.map(|path| {
            Disk::new(&path, args.kernel.is_some())
                .map_err(|source| ConfigError::Disk { path, source })
        });
        let disk = disk.transpose()?;
        let kernel = args.kernel.unwrap_or_else(|| Wanted::default().kernel);
        if args.modules.is_some() && !kernel.is_own() {
            return Err(ConfigError::Modules);
        }
        let qemu = args.qemu.spec();
        // A share that may only be read has a window where QEMU keeps the guest from storing to it.
        let enforced = qemu == QemuSpec::Series;
        let needs_views = matches!(qemu, QemuSpec::Stock | QemuSpec::SeriesAsStock);
        let window = match args.window {
            Some(_) if args.read_only && needs_views => return Err(ConfigError::ReadOnlyWindow),
            _ if args.no_dax => WindowWish::None,
            Some(size) => WindowWish::Asked(size),
            None if args.read_only && !enforced => WindowWish::None,
            None => WindowWish::Default(DEFAULT_WINDOW),
        };
        let mut extra = Vec::new();
        for options in args.daemon {
            match shlex::split(&options) {
                Some(words) => extra.extend(words.into_iter().map(Into::into)),
                None => return Err(ConfigError::Quote { options }),
            }
        }
        let share = |dir, tag, read_only, window: Option<ByteSize>| {
            let plain = Share {
                read_only,
                queues: args.queues,
                extra: extra.clone(),
                ..Share::new(dir, tag)
            };
            match window {
                Some(size) => Share {
                    dax: args.dax.into(),
                    ..plain.with_window(size)
                },
                None => plain,
            }
        };
        let mut main = share(dir, args.tag, args.read_only, window.size());
        if let Some(address) = args.metrics {
            main.extra.extend(["--metrics".into(), address.into()]);
        }
        let mut others: Vec<Share> = Vec::new();
        for other in args.others {
            let taken = [main.tag.as_str(), root::TAG];
            let taken = taken.contains(&other.tag.as_str());
            if taken || others.iter().any(|share| share.tag == other.tag) {
                let tag = other.tag.to_string();
                return Err(ConfigError::SameTag { tag });
            }
            let size = args.window.unwrap_or(DEFAULT_WINDOW);
            let size = (!args.no_dax && (!other.read_only || enforced)).then_some(size);
            let dir = directory(&other.dir)?;
            others.push(share(dir, other.tag, other.read_only, size));
        }
        if args.root.is_some() && main.tag.as_str() == root::TAG {
            let tag = main.tag.to_string();
            return Err(ConfigError::SameTag { tag });
        }
        let root = match args.root {
            None => None,
            Some(Root::Host) => Some(Path::new("/").to_owned()),
            Some(Root::Dir(dir)) => Some(directory(&dir)?),
        };
        let size = (enforced && !args.no_dax).then_some(DEFAULT_WINDOW);
        let root = root.map(|dir| RootShare::new(dir, size, args.dax.into()));
        let network = args.net == Some(NetArg::User);
        let mut devices = if network {
            network::devices()
        } else {
            Vec::new()
        };
        devices.extend(disk.iter().flat_map(Disk::args));
        let modules = [
            root.is_some().then_some(root::MODULE),
            network.then_some(network::MODULE),
        ];
        Ok(Self {
            share: main,
            others,
            root,
            disk,
            network,
            window,
            spec: VmSpec {
                accel: AccelChoice::from(args.accel),
                memory: args.memory,
                cpus: args.cpus,
                extra: devices,
                ..VmSpec::default()
            },
            wanted: Wanted {
                qemu,
                guard: !args.no_guard,
                kernel,
                modules_dir: args.modules,
                modules: modules.into_iter().flatten().map(Into::into).collect(),
                ..Wanted::default()
            },
            task: match args.command {
                command if command.is_empty() => Task::Shell,
                command => Task::Command(command),
            },
            dry_run: args.dry_run,
            verbose: args.verbose,
        })
    }
}

fn directory(path: &Path) -> Result<PathBuf, ConfigError> {
    let dir = fs::canonicalize(path).map_err(|source| ConfigError::Dir {
        path: path.to_owned(),
        source,
    })?;
    let path = || path.to_owned();
    if !dir.is_dir() {
        return Err(ConfigError::NoDir { path: path() });
    }
    if dir.to_str().is_none() {
        return Err(ConfigError::NotText { path: path() });
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use clap::Parser;
    use qemu_guest::vm::process::Dax;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ShareArgs,
    }

    fn config(line: &[&str]) -> Result<Config, ConfigError> {
        let words = ["share"].iter().chain(line);
        Cli::parse_from(words).args.try_into()
    }

    #[test]
    fn metrics_are_the_daemon_s() {
        assert!(config(&["/tmp"]).unwrap().share.extra.is_empty());
        let config = config(&["/tmp", "--metrics", "127.0.0.1:9926"]).unwrap();
        assert_eq!(config.share.extra, ["--metrics", "127.0.0.1:9926"]);
    }

    #[test]
    fn other_shares_have_their_own_tag_and_the_same_options() {
        let config = config(&[
            "/tmp",
            "--share",
            "a=/usr:ro",
            "--share",
            "b=/var",
            "--queues",
            "2",
            "--daemon",
            "--xattr --xattrmap ':map::user.:'",
            "--metrics",
            "/run/m",
            "--qemu",
            "stock",
        ])
        .unwrap();
        let [usr, var] = &config.others[..] else {
            panic!("{:?}", config.others);
        };
        assert!(usr.read_only && usr.window.is_none() && !var.read_only);
        assert_eq!(var.window, Some(DEFAULT_WINDOW));
        assert_eq!(var.queues.get(), 2);
        assert_eq!(var.extra, ["--xattr", "--xattrmap", ":map::user.:"]);
        assert_eq!(
            config.share.extra[..3],
            var.extra,
            "the metrics are the first share's"
        );
    }

    #[test]
    fn a_root_is_a_share_that_may_only_be_read() {
        let window = |qemu| {
            let config = config(&["/tmp", "--root", "host", "--qemu", qemu]).unwrap();
            let root = config.root.unwrap();
            assert!(root.share.read_only && root.share.dir == Path::new("/"));
            assert_eq!(config.wanted.modules, [root::MODULE]);
            root.share.window
        };
        assert_eq!(window("stock"), None);
        assert_eq!(window("series"), Some(DEFAULT_WINDOW));
    }

    #[test]
    fn defaults() {
        let config = config(&["/tmp"]).unwrap();
        assert_eq!(config.window, WindowWish::Default(DEFAULT_WINDOW));
        assert_eq!(config.share.window, Some(DEFAULT_WINDOW));
        assert_eq!(config.share.dax, Dax::Inode);
        assert_eq!(config.task, Task::Shell);
        assert!(!config.share.read_only && !config.dry_run);
    }

    #[test]
    fn all_files_are_mapped_for_who_asks() {
        let config = config(&["/tmp", "--dax", "always"]).unwrap();
        assert_eq!(config.share.dax, Dax::Always);
    }

    #[test]
    fn the_vm_is_guarded_unless_that_is_declined() {
        assert!(config(&["/tmp"]).unwrap().wanted.guard);
        assert!(!config(&["/tmp", "--no-guard"]).unwrap().wanted.guard);
    }

    #[test]
    fn windows_by_option() {
        for (line, expected) in [
            (
                &["/tmp", "--window", "16M"][..],
                WindowWish::Asked(ByteSize::mib(16)),
            ),
            (&["/tmp", "--no-dax"], WindowWish::None),
            (
                &["/tmp", "--read-only", "--qemu", "stock"],
                WindowWish::None,
            ),
            (
                &["/tmp", "--read-only", "--qemu", "series"],
                WindowWish::Default(DEFAULT_WINDOW),
            ),
        ] {
            let config = config(line).unwrap();
            assert_eq!(config.window, expected, "{line:?}");
            assert_eq!(config.share.window, expected.size(), "{line:?}");
        }
    }

    #[test]
    fn a_directory_whose_name_is_no_text_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join(OsStr::from_bytes(b"n\xff"));
        fs::create_dir(&dir).unwrap();
        let error = directory(&dir).unwrap_err().to_string();
        assert!(error.contains("not UTF-8"), "{error}");
    }

    #[test]
    fn mistakes_are_one_clear_sentence() {
        for (line, told) in [
            (&["/no/such/dir"][..], "can't share /no/such/dir"),
            (&["/etc/passwd"], "it is no directory"),
            (&["/tmp", "--modules", "/lib/modules/x"], "--kernel PATH"),
            (
                &["/tmp", "--read-only", "--window", "16M", "--qemu", "stock"],
                "--qemu series",
            ),
            (&["/tmp", "--share", "share=/srv"], "the tag share"),
            (&["/tmp", "--share", "a=/no/such"], "can't share /no/such"),
            (&["/tmp", "--root", "/no/such"], "can't share /no/such"),
            (&["/tmp", "--disk", "/no/such"], "can't boot /no/such"),
            (&["/tmp", "--daemon", "--tag 'x"], "a quote without its end"),
        ] {
            let error = config(line).unwrap_err().to_string();
            assert!(error.contains(told), "{line:?}: {error}");
        }
    }
}
