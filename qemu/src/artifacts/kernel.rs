// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kernels for guests: Debian's stock ones, each with its modules, those built here from Debian's
//! source, or an image or a source tree of the caller's.

pub mod build;
mod debian;
mod header;
mod make;
mod own;
mod own_tree;
mod spec;
mod unpacked;

use std::io;
use std::path::{Path, PathBuf};

pub use build::{Base, BuiltKernel, Mutant, NotBuilt};
pub use spec::{DebianKernel, KernelSpec, SpecError};

use super::cache::{Cache, CacheError};
use super::packages::PackagesError;
use build::BuildError;

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum KernelError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Its packages could not be fetched.
    #[error("getting the kernel {label}")]
    Packages {
        label: &'static str,
        #[source]
        source: PackagesError,
    },
    /// The kernel could not be built.
    #[error("building the kernel {label}")]
    Build {
        label: String,
        #[source]
        source: Box<BuildError>,
    },
    /// The folder is no configured source tree.
    #[error(
        "{} is a folder without a .config: give a kernel source tree that is configured (make \
         menuconfig), or the path of a bzImage",
        .0.display()
    )]
    NotConfigured(PathBuf),
    /// The folder is no source of Linux.
    #[error("{} is no kernel source tree, which has a file Kconfig: go to one", .0.display())]
    NoTree(PathBuf),
    /// The packages lack an expected file.
    #[error("the packages of the kernel {label} hold no {missing}")]
    Shape {
        label: &'static str,
        missing: String,
    },
    /// The image can't be read.
    #[error("reading the kernel {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no bzImage: give the kernel's arch/x86/boot/bzImage or a vmlinuz", .0.display())]
    NotBzImage(PathBuf),
    /// Modules were given with a kernel that has its own modules.
    #[error("--modules goes with a kernel of your own; {0} comes with what it needs")]
    ModulesGiven(String),
    /// The folder has no modules for this kernel.
    #[error("{} has no modules of kernel {release}: give the folder that modules_install made (INSTALL_MOD_PATH), or its lib/modules/{release}", folder.display())]
    NoModules { folder: PathBuf, release: String },
}

impl KernelError {
    /// Whether the source itself is at fault, so that another version of it may be built.
    pub fn is_of_the_source(&self) -> bool {
        matches!(self, Self::Build { source, .. } if source.is_of_the_source())
    }

    /// For `map_err`: the error of building the kernel `label`.
    fn building(label: &str) -> impl FnOnce(BuildError) -> Self {
        let label = label.to_owned();
        move |source| Self::Build {
            label,
            source: Box::new(source),
        }
    }
}

/// A kernel image with its modules and configuration.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// The folder that holds this release's modules (`…/lib/modules/RELEASE`).
    pub modules_dir: Option<PathBuf>,
    /// The kernel's own name for itself (`uname -r`), read from the image.
    pub release: String,
    /// A short name for messages, such as `debian:6.12`.
    pub label: String,
    /// The kernel's configuration, if it came with one.
    pub config: Option<PathBuf>,
}

impl Kernel {
    /// The kernel that `spec` names. `modules` is only for a kernel of the caller's own.
    ///
    /// A Debian kernel stays as fetched until its folder in the cache is deleted, so that runs can
    /// be compared; so does `latest`. The source of kernels that are built here stays likewise; the
    /// kernels are built again when a patch or the configuration changes.
    pub fn obtain(
        spec: &KernelSpec,
        modules: Option<&Path>,
        cache: &Cache,
    ) -> Result<Self, KernelError> {
        match (spec, modules) {
            (KernelSpec::Image(image), modules) => own::kernel(image, modules),
            (KernelSpec::Tree(tree), modules) => own_tree::obtain(tree, modules, cache),
            (KernelSpec::Debian(kernel), None) => debian::obtain(*kernel, cache),
            (KernelSpec::Built(kernel), None) => build::obtain(*kernel, cache),
            (KernelSpec::Debian(kernel), Some(_)) => {
                Err(KernelError::ModulesGiven(kernel.label().to_owned()))
            }
            (KernelSpec::Built(kernel), Some(_)) => {
                Err(KernelError::ModulesGiven(kernel.to_string()))
            }
        }
    }

    /// The kernel of the source in `tree`, with the lab's configuration, which is kept beside the tree's
    /// own. Only what has changed since the last time is compiled.
    ///
    /// # Errors
    ///
    /// If `tree` is no source of Linux, or does not build.
    pub fn of_tree(tree: &Path, cache: &Cache) -> Result<Self, KernelError> {
        own_tree::obtain_configured(tree, cache)
    }

    /// Builds `base` with the patches in these files, in their order, and writes its bzImage to
    /// `image`.
    ///
    /// # Errors
    ///
    /// If a patch does not apply, or the source does not build.
    pub fn patched(
        base: BuiltKernel,
        patches: &[PathBuf],
        image: &Path,
        cache: &Cache,
    ) -> Result<(), KernelError> {
        build::patched(base, patches, image, cache)
            .map_err(|error| KernelError::building(&base.to_string())(error))
    }

    /// Like [`Kernel::obtain`], but never fetches or builds: `None` if there is no undamaged copy.
    pub fn cached(spec: &KernelSpec, cache: &Cache) -> Result<Option<Self>, KernelError> {
        match spec {
            KernelSpec::Image(image) => own::kernel(image, None).map(Some),
            KernelSpec::Tree(tree) => own_tree::made(tree),
            KernelSpec::Debian(kernel) => debian::cached(*kernel, cache),
            KernelSpec::Built(kernel) => build::cached(*kernel, cache),
        }
    }

    /// The ELF file in the image. A guest that starts from it is up sooner, and runs the same kernel
    /// at a fixed address (no KASLR).
    ///
    /// `None` if QEMU can't start it: the kernel has no PVH entry, or its packing is not known here.
    pub fn unpacked(&self, cache: &Cache) -> Result<Option<PathBuf>, KernelError> {
        unpacked::obtain(&self.image, cache)
    }
}
