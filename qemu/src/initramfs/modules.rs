// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The modules of one kernel: which exist, which are built in, and in what order a selection of
//! them loads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::modinfo::{self, ModinfoError, SUFFIXES, normal};

/// Why modules can't be loaded in the guest.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ModulesError {
    /// The folder can't be read.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// No such module.
    #[error("the kernel has no module {name}{}, neither built in nor in {}", needed_by(wanted_by), folder.display())]
    Missing {
        name: String,
        /// Which module needs it; `None` if the caller asked for it.
        wanted_by: Option<String>,
        folder: PathBuf,
    },
    /// A module file can't be used.
    #[error("{}", path.display())]
    Module {
        path: PathBuf,
        #[source]
        source: ModinfoError,
    },
}

fn needed_by(wanted_by: &Option<String>) -> String {
    wanted_by
        .as_ref()
        .map(|name| format!(" (needed by {name})"))
        .unwrap_or_default()
}

/// All modules of one kernel.
#[derive(Debug)]
pub(super) struct ModuleFolder {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

/// A module, ready to be loaded once those before it are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl ModuleFolder {
    /// Looks through `folder`, a `lib/modules/RELEASE`.
    pub(super) fn scan(folder: &Path) -> Result<Self, ModulesError> {
        let mut files = BTreeMap::new();
        collect(folder, &mut files)?;
        let path = folder.join("modules.builtin");
        let listed = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| ModulesError::Read { path, source })?,
        };
        let builtin = listed
            .lines()
            .filter_map(|line| module_name(line.rsplit('/').next()?))
            .collect();
        Ok(Self {
            folder: folder.to_owned(),
            files,
            builtin,
        })
    }

    /// Feeds the folder's identity to `hash`.
    pub(super) fn digest(&self, hash: &mut Sha256) -> Result<(), ModulesError> {
        for (name, path) in &self.files {
            let meta = path.metadata();
            let meta = meta.map_err(|source| ModulesError::Read {
                path: path.clone(),
                source,
            })?;
            let stamp = (meta.size(), meta.mtime(), meta.mtime_nsec());
            hash.update(format!("{name} {stamp:?}\0"));
        }
        for name in &self.builtin {
            hash.update(format!("{name}\0"));
        }
        Ok(())
    }

    /// Whether the kernel has `name`, built in or as a module.
    pub(super) fn has(&self, name: &str) -> bool {
        let name = normal(name);
        self.builtin.contains(&name) || self.files.contains_key(&name)
    }

    /// `names` and all that they need, in load order, each once, without what is built in.
    pub(super) fn load_order(&self, names: &[String]) -> Result<Vec<Module>, ModulesError> {
        let mut order = Order {
            modules: Vec::new(),
            seen: BTreeSet::new(),
        };
        for name in names {
            self.visit(&normal(name), None, &mut order)?;
        }
        Ok(order.modules)
    }

    /// Adds the needs of `name`, then `name`. Each visit is recorded first, so a circle ends.
    fn visit(
        &self,
        name: &str,
        wanted_by: Option<&str>,
        order: &mut Order,
    ) -> Result<(), ModulesError> {
        if self.builtin.contains(name) || !order.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self.files.get(name).ok_or_else(|| ModulesError::Missing {
            name: name.to_owned(),
            wanted_by: wanted_by.map(str::to_owned),
            folder: self.folder.clone(),
        })?;
        let failed = |source| ModulesError::Module {
            path: path.clone(),
            source,
        };
        let bytes = modinfo::load(path).map_err(failed)?;
        let needs = modinfo::needs(&bytes).map_err(failed)?;
        for soft in needs.soft.iter().filter_map(|soft| self.soft(soft)) {
            self.visit(soft, Some(name), order)?;
        }
        for hard in &needs.depends {
            self.visit(hard, Some(name), order)?;
        }
        order.modules.push(Module {
            name: name.to_owned(),
            bytes,
        });
        Ok(())
    }

    /// The module of a soft dependency, if there is one. The dependency may be an alias, such as an
    /// algorithm's name; the kernel calls the module for any machine NAME_generic.
    fn soft(&self, name: &str) -> Option<&str> {
        let generic = format!("{name}_generic");
        let found = self
            .files
            .get_key_value(name)
            .or_else(|| self.files.get_key_value(&generic));
        found.map(|(name, _)| name.as_str())
    }
}

struct Order {
    modules: Vec<Module>,
    seen: BTreeSet<String>,
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), ModulesError> {
    let failed = |source| ModulesError::Read {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

fn module_name(file: &str) -> Option<String> {
    SUFFIXES
        .into_iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .map(normal)
}

#[cfg(test)]
mod tests;
