// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Collects what goes into an initramfs, and builds it unless the cache has it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::archive::{Node, Tree};
use super::modules::{ModuleFolder, ModulesError};
use super::path::{GuestPath, GuestPathError};
use super::wanted::{self, Wanted};
use crate::artifacts::cache::{CacheError, Lock};
use crate::artifacts::tool::{self, ToolError};
use crate::artifacts::{Cache, Kernel, artifact};

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum InitramfsError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A kernel's modules can't be used.
    #[error("modules of kernel {release}")]
    Modules {
        release: String,
        #[source]
        source: ModulesError,
    },
    /// A name that no file in the guest can have.
    #[error(transparent)]
    Path(#[from] GuestPathError),
    /// busybox can't be asked for its applets.
    #[error("asking busybox for its applets")]
    Busybox(#[from] ToolError),
    /// A file that shall go in can't be read.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The archive can't be written.
    #[error("writing the initramfs {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What goes into an initramfs.
#[derive(Clone, Debug)]
pub struct Initramfs {
    files: Vec<(String, Node)>,
    busybox: Option<PathBuf>,
    modules: Option<Wanted>,
}

/// Changes with the archive's layout, so that no older archive is taken for a new one.
const LAYOUT: u32 = 1;
const ARCHIVE: &str = "initrd.cpio";
const PREFIX: &str = "initramfs-";
/// How many archives the cache keeps: those of a few kernels and of a day's rebuilds of the agent.
const KEPT: usize = 16;

const FOLDERS: [(&str, u32); 9] = [
    ("/dev", 0o755),
    ("/mnt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/share", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var/tmp", 0o1777),
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

impl Initramfs {
    /// An initramfs whose /init is the file `init` of the host.
    pub fn builder(init: &Path) -> Self {
        let mut files = Vec::new();
        for (path, mode) in FOLDERS {
            files.push((path.to_owned(), Node::Folder { mode }));
        }
        for (path, text) in [("/etc/passwd", PASSWD), ("/etc/group", GROUP)] {
            files.push((
                path.to_owned(),
                Node::Bytes {
                    mode: 0o644,
                    bytes: text.into(),
                },
            ));
        }
        // The kernel opens the console before any program can mount /dev.
        files.push((
            "/dev/console".to_owned(),
            Node::Device {
                mode: 0o600,
                major: 5,
                minor: 1,
            },
        ));
        files.push((
            "/dev/null".to_owned(),
            Node::Device {
                mode: 0o666,
                major: 1,
                minor: 3,
            },
        ));
        Self {
            files,
            busybox: None,
            modules: None,
        }
        .file("/init", init, 0o755)
    }

    /// Adds busybox as /bin/busybox, and a link for each of its applets at each free name. Runs
    /// busybox on the host once, to list the applets.
    pub fn busybox(mut self, busybox: &Path) -> Self {
        self.busybox = Some(busybox.to_owned());
        self.file("/bin/busybox", busybox, 0o755)
    }

    /// Adds the modules `names` of `kernel` and what they need, as
    /// `/lib/modules/load/NNN-name.ko`, and their file names in load order, one a line, as
    /// `/lib/modules/load.list`.
    ///
    /// Modules that are built into the kernel are left out. If the kernel has no folder of modules,
    /// all modules count as built in. A second call replaces the first.
    pub fn modules(mut self, kernel: &Kernel, names: &[&str]) -> Self {
        let names = names.iter().map(ToString::to_string).collect();
        self.modules = kernel.modules_dir.clone().map(|folder| {
            let release = kernel.release.clone();
            Wanted {
                release,
                folder,
                names,
                optional: Vec::new(),
            }
        });
        self
    }

    /// Adds modules that only some kernels have, after those of [`Initramfs::modules`].
    pub fn optional_modules(mut self, names: &[&str]) -> Self {
        if let Some(wanted) = &mut self.modules {
            wanted
                .optional
                .extend(names.iter().map(ToString::to_string));
        }
        self
    }

    /// Adds the host's file `host` as `guest` with these permission bits.
    pub fn file(mut self, guest: &str, host: &Path, mode: u32) -> Self {
        self.files.push((
            guest.to_owned(),
            Node::Host {
                mode,
                path: host.to_owned(),
            },
        ));
        self
    }

    /// Adds a file with these contents.
    pub fn contents(mut self, guest: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push((
            guest.to_owned(),
            Node::Bytes {
                mode,
                bytes: bytes.into(),
            },
        ));
        self
    }

    /// Adds a folder.
    pub fn folder(mut self, guest: &str, mode: u32) -> Self {
        self.files.push((guest.to_owned(), Node::Folder { mode }));
        self
    }

    /// Adds a symbolic link.
    pub fn link(mut self, guest: &str, target: &str) -> Self {
        self.files.push((
            guest.to_owned(),
            Node::Link {
                target: target.to_owned(),
            },
        ));
        self
    }

    /// Path of the archive (newc, uncompressed), built unless the cache has one of the same inputs.
    pub fn build(&self, cache: &Cache) -> Result<PathBuf, InitramfsError> {
        let modules = self.modules.as_ref().map(Wanted::scan).transpose()?;
        let mut tree = Tree::default();
        for (path, node) in &self.files {
            tree.insert(GuestPath::new(path)?, node.clone());
        }
        let key = self.key(&tree, modules.as_ref())?;
        let built = artifact::obtain(cache, &format!("{PREFIX}{key}"), |lock, place| {
            self.add_applets(&mut tree)?;
            if let (Some(wanted), Some(folder)) = (&self.modules, &modules) {
                wanted::add_modules(&mut tree, wanted.load_order(folder)?)?;
            }
            write(&tree, &place.join(ARCHIVE))?;
            make_room(cache, lock)
        })?;
        Ok(built.join(ARCHIVE))
    }

    /// The digest of the inputs, without making the archive.
    fn key(&self, tree: &Tree, modules: Option<&ModuleFolder>) -> Result<String, InitramfsError> {
        let mut hash = Sha256::new();
        hash.update(format!("{LAYOUT}\0{}\0", self.busybox.is_some()));
        tree.digest(&mut hash)
            .map_err(|(path, source)| InitramfsError::Read { path, source })?;
        if let (Some(wanted), Some(folder)) = (&self.modules, modules) {
            hash.update(format!("{:?}{:?}", wanted.names, wanted.optional));
            folder.digest(&mut hash).map_err(wanted.failed())?;
        }
        Ok(format!("{:x}", hash.finalize())[..32].to_owned())
    }

    fn add_applets(&self, tree: &mut Tree) -> Result<(), InitramfsError> {
        let Some(busybox) = &self.busybox else {
            return Ok(());
        };
        let listed = tool::output(tool::command(busybox).arg("--list-full"))?;
        for applet in listed.lines() {
            let target = "/bin/busybox".to_owned();
            tree.insert_new(
                GuestPath::new(&format!("/{applet}"))?,
                Node::Link { target },
            );
        }
        Ok(())
    }
}

fn write(tree: &Tree, path: &Path) -> Result<(), InitramfsError> {
    let failed = |source| InitramfsError::Write {
        path: path.to_owned(),
        source,
    };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    tree.write(&mut out).map_err(failed)?;
    out.flush().map_err(failed)
}

/// Makes room for one more archive.
fn make_room(cache: &Cache, lock: &Lock) -> Result<(), InitramfsError> {
    Ok(artifact::prune(cache, lock, PREFIX, KEPT - 1)?)
}
