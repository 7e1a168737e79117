// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! No byte is lost or misplaced.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::model::FileModel;

/// Fails at the first byte that differs.
pub fn compare(what: &str, got: &[u8], wanted: &[u8]) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    let differ = got
        .iter()
        .zip(wanted)
        .position(|(got, wanted)| got != wanted);
    match differ {
        Some(at) => bail!(
            "{what}: byte {at:#x} is {:#04x}, not {:#04x}",
            got[at],
            wanted[at]
        ),
        None => bail!("{what}: {} bytes, not {}", got.len(), wanted.len()),
    }
}

/// Checks the file's bytes on the host.
pub fn on_host(share: &Path, file: &FileModel) -> Result<()> {
    let path = share.join(&file.name);
    let got = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    compare(&format!("{} on the host", file.name), &got, &file.bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use virtiofs_driver::{Handle, NodeId};

    use super::{compare, on_host};
    use crate::model::FileModel;

    #[test]
    fn the_first_difference_is_told() {
        assert!(compare("a", b"same", b"same").is_ok());
        let error = compare("a", b"sane", b"same").expect_err("they differ");
        assert_eq!(error.to_string(), "a: byte 0x2 is 0x6e, not 0x6d");
        let error = compare("a", b"sam", b"same").expect_err("they differ");
        assert_eq!(error.to_string(), "a: 3 bytes, not 4");
    }

    #[test]
    fn a_lost_store_and_a_lost_file_are_found() {
        let share = tempfile::tempdir().expect("a directory");
        let mut file = FileModel {
            name: "file".to_owned(),
            node: NodeId(2),
            handle: Handle(0),
            bytes: b"old".to_vec(),
        };
        assert!(on_host(share.path(), &file).is_err(), "there is no file");
        fs::write(share.path().join("file"), b"old").expect("a file");
        on_host(share.path(), &file).expect("the same bytes");
        file.put(2, b"new");
        assert_eq!(file.bytes, b"olnew");
        assert!(on_host(share.path(), &file).is_err(), "the store is lost");
    }
}
