// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table of QEMUs.

use std::io::Write;

use anyhow::Result;
use qemu_guest::artifacts::{
    Cache, Qemu, QemuSpec,
    qemu::{Origin, QemuError},
};

/// The named QEMUs.
const NAMED: [QemuSpec; 3] = [QemuSpec::Stock, QemuSpec::Series, QemuSpec::SeriesAsStock];

/// Writes a line for each named QEMU.
///
/// # Errors
///
/// If the cache can't be read, or a QEMU in the cache does not run.
pub fn write(cache: &Cache, out: &mut impl Write) -> Result<()> {
    for spec in NAMED {
        dax_measure::put(&line(&spec, cache)?, out)?;
    }
    Ok(())
}

fn line(spec: &QemuSpec, cache: &Cache) -> Result<String, QemuError> {
    let name = spec.to_string();
    Ok(match Qemu::find(spec, cache)? {
        Some(qemu) => format!(
            "{name:<13} {:<9} {:<8} {}\n",
            whence(qemu.origin()),
            qemu.version(),
            qemu.argv()[0].display()
        ),
        None => format!("{name:<13} not there\n"),
    })
}

fn whence(origin: &Origin) -> &'static str {
    match origin {
        Origin::Given(_) => "given",
        Origin::Machine(_) => "installed",
        Origin::Cache(_) => "fetched",
        Origin::Built(_) => "built",
    }
}

#[cfg(test)]
mod tests {
    use qemu_guest::artifacts::Progress;

    use super::*;

    #[test]
    fn what_is_not_built_is_listed_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let mut out = Vec::new();
        write(&cache, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), NAMED.len());
        assert_eq!(lines[1], "series        not there");
    }
}
