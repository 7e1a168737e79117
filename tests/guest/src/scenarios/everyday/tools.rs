// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's programs in a share, for a guest that has only busybox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use qemu_guest::script;

/// Copies these programs of the host with their libraries to `dir`. A script for each in `dir/bin`
/// starts the program by its own dynamic loader. The guest has `dir` at `/mnt/tools`.
pub fn gather(dir: &Path, programs: &[&str]) -> Result<()> {
    for folder in ["bin", "lib", "real"] {
        fs::create_dir(dir.join(folder))?;
    }
    for program in programs {
        let path = find(program)?;
        for library in libraries(&path)? {
            let name = library.file_name().context("a library without a name")?;
            fs::copy(&library, dir.join("lib").join(name))?;
        }
        fs::copy(&path, dir.join("real").join(program))?;
        let text = format!(
            "here=/mnt/tools\nexec $here/lib/ld-linux-x86-64.so.2 \
             --library-path $here/lib $here/real/{program} \"$@\""
        );
        script::write(&dir.join("bin").join(program), &text)?;
    }
    Ok(())
}

fn find(program: &str) -> Result<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin"].map(Path::new);
    let found = folders.map(|folder| folder.join(program));
    let found = found.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{program} is not installed: tests/run.sh does that"))
}

/// All libraries that the dynamic loader would load for this program, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    ensure!(
        output.status.success(),
        "ldd failed for {}",
        program.display()
    );
    let text = String::from_utf8(output.stdout)?;
    let words = text.lines().flat_map(str::split_whitespace);
    Ok(words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}
