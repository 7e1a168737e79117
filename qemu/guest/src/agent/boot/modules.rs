// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Kernel modules, which the host has stored uncompressed and in load order.

use std::{fs, fs::File, io, path::Path};

use anyhow::Context;
use rustix::{io::Errno, system};

const FOLDER: &str = "/lib/modules/load";

/// One file name of [`FOLDER`] a line. An initramfs without modules has no list.
const LIST: &str = "/lib/modules/load.list";

/// Loads the listed modules; returns the number of modules that are loaded now.
pub(super) fn load_all(problems: &mut Vec<String>) -> u32 {
    let list = match fs::read_to_string(LIST) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
        Err(error) => {
            problems.push(format!("can't read {LIST}: {error}"));
            return 0;
        }
    };
    let mut loaded = 0;
    for name in list.lines().map(str::trim).filter(|name| !name.is_empty()) {
        match load(&Path::new(FOLDER).join(name)) {
            Ok(()) => loaded += 1,
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    loaded
}

fn load(path: &Path) -> anyhow::Result<()> {
    let context = || format!("can't load the module {}", path.display());
    let module = File::open(path).with_context(context)?;
    match system::finit_module(&module, c"", 0) {
        Err(Errno::EXIST) => Ok(()),
        outcome => outcome.with_context(context),
    }
}
