// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The source, unpacked and built on the cache's workbench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::Source;
use super::{LABEL, PROGRAM, SeriesError, recipe};
use crate::artifacts::cache::{Cache, CacheError};
use crate::artifacts::compile::{self, Compiler};
use crate::artifacts::patch;
use crate::artifacts::progress::Unit;
use crate::artifacts::tool;

/// How many files are compiled, for the progress bar.
const OBJECTS: u64 = 1430;

const CONFIGURE: Compiler = Compiler {
    command: "configure",
    unit: Unit::OBJECTS,
    marks: &[],
};
const NINJA: Compiler = Compiler {
    command: "ninja",
    unit: Unit::OBJECTS,
    marks: &["Compiling "],
};

/// Variables of the caller's environment that would change the program.
const VARIABLES: [&str; 9] = [
    "AR", "CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LD", "LDFLAGS", "PYTHON",
];

/// The source.
pub(super) struct Tree<'a> {
    cache: &'a Cache,
    root: PathBuf,
}

impl<'a> Tree<'a> {
    /// Unpacks the source into `bench` and applies the patches.
    pub(super) fn unpack(
        cache: &'a Cache,
        bench: &Path,
        source: &Source,
    ) -> Result<Self, SeriesError> {
        const DOING: &str = "unpacking QEMU's source";
        let root = bench.join("qemu");
        fs::create_dir(&root).map_err(CacheError::io("making", &root))?;
        let mut tar = tool::command("tar");
        tar.arg("--strip-components=1").arg("-xf");
        tar.arg(&source.archive).arg("-C").arg(&root);
        tool::output(&mut tar).map_err(SeriesError::tool(DOING))?;
        let mut copy = tool::command("cp");
        copy.arg("-r").arg(&source.wheels).arg(root.join("python"));
        tool::output(&mut copy).map_err(SeriesError::tool(DOING))?;
        let beside = bench.join("patches");
        for folder in ["qemu-archive", "qemu"] {
            let folder = beside.join(folder);
            fs::create_dir_all(&folder).map_err(CacheError::io("making", &folder))?;
        }
        patch::apply(recipe::PATCHES, &root, &beside)?;
        Ok(Self { cache, root })
    }

    /// Builds the program; returns its path.
    pub(super) fn build(&self) -> Result<PathBuf, SeriesError> {
        let folder = self.root.join("build");
        fs::create_dir(&folder).map_err(CacheError::io("making", &folder))?;
        let mut configure = self.command("../configure", &folder);
        configure.args(recipe::OPTIONS);
        let what = "the configuration of QEMU";
        CONFIGURE.run(&mut configure, self.cache, what, None)?;
        let mut ninja = self.command("ninja", &folder);
        ninja.env("NINJA_STATUS", "").arg(PROGRAM);
        let what = format!("QEMU {LABEL}");
        NINJA.run(&mut ninja, self.cache, &what, Some(OBJECTS))?;
        let program = folder.join(PROGRAM);
        let mut strip = tool::command("strip");
        tool::output(strip.arg(&program)).map_err(SeriesError::tool("stripping QEMU"))?;
        Ok(program)
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = compile::command(program);
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.current_dir(folder);
        command
    }
}
