// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The requested modules, and their place in the guest.

use std::path::PathBuf;

use super::InitramfsError;
use super::archive::{Node, Tree};
use super::modules::{Module, ModuleFolder, ModulesError};
use super::path::GuestPath;

/// The requested modules.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) release: String,
    pub(super) folder: PathBuf,
    pub(super) names: Vec<String>,
    /// Modules to leave out if the kernel does not have them.
    pub(super) optional: Vec<String>,
}

impl Wanted {
    pub(super) fn scan(&self) -> Result<ModuleFolder, InitramfsError> {
        ModuleFolder::scan(&self.folder).map_err(self.failed())
    }

    pub(super) fn load_order(&self, folder: &ModuleFolder) -> Result<Vec<Module>, InitramfsError> {
        let optional = self.optional.iter().filter(|name| folder.has(name));
        let names: Vec<String> = self.names.iter().chain(optional).cloned().collect();
        folder.load_order(&names).map_err(self.failed())
    }

    pub(super) fn failed(&self) -> impl FnOnce(ModulesError) -> InitramfsError {
        let release = self.release.clone();
        move |source| InitramfsError::Modules { release, source }
    }
}

/// Adds modules and the list of their files.
pub(super) fn add_modules(tree: &mut Tree, modules: Vec<Module>) -> Result<(), InitramfsError> {
    let mut list = String::new();
    for (number, module) in (0..).zip(modules) {
        let file = format!("{number:03}-{}.ko", module.name);
        list.push_str(&file);
        list.push('\n');
        let path = GuestPath::new(&format!("/lib/modules/load/{file}"))?;
        tree.insert(
            path,
            Node::Bytes {
                mode: 0o644,
                bytes: module.bytes,
            },
        );
    }
    tree.insert(
        GuestPath::new("/lib/modules/load.list")?,
        Node::Bytes {
            mode: 0o644,
            bytes: list.into(),
        },
    );
    Ok(())
}
