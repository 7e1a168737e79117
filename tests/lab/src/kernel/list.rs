// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table of kernels.

use std::io::Write;

use qemu_guest::artifacts::{Cache, Kernel, KernelSpec, kernel::KernelError};

/// Whether a kernel is in the cache.
enum There {
    /// It is, with this release (`uname -r`).
    Yes(String),
    /// It is not, or its copy is damaged.
    No,
}

/// Writes a line for each named kernel.
///
/// # Errors
///
/// If the cache can't be read.
pub fn write(cache: &Cache, out: &mut impl Write) -> anyhow::Result<()> {
    for spec in KernelSpec::named() {
        dax_measure::put(&line(&spec, &look(&spec, cache)?), out)?;
    }
    Ok(())
}

fn look(spec: &KernelSpec, cache: &Cache) -> Result<There, KernelError> {
    let kernel = Kernel::cached(spec, cache)?;
    Ok(kernel.map_or(There::No, |kernel| There::Yes(kernel.release)))
}

fn line(spec: &KernelSpec, there: &There) -> String {
    let name = spec.to_string();
    match there {
        There::Yes(release) => format!("{name:<18} cached      {release}\n"),
        There::No => format!("{name:<18} not cached  -\n"),
    }
}

#[cfg(test)]
mod tests {
    use qemu_guest::artifacts::Progress;

    use super::*;

    #[test]
    fn an_empty_cache_is_a_line_for_each_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let mut out = Vec::new();
        write(&cache, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), KernelSpec::named().count());
        assert!(
            text.contains("build:6.12+nowake  not cached  -\n"),
            "{text}"
        );
    }

    #[test]
    fn a_cached_kernel_is_listed_with_its_release() {
        let spec = "build:6.12+seed".parse().unwrap();
        let line = line(&spec, &There::Yes("6.12.117-daxlab-seed".into()));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["build:6.12+seed", "cached", "6.12.117-daxlab-seed"]);
    }
}
