// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One kernel module file: unpacking it, and reading what it needs from its `.modinfo` section.
//!
//! Debian ships no modules.dep (depmod makes it when a kernel is installed), and this section is
//! what depmod reads.

use std::io::{self, Read};
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// Why a module can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ModinfoError {
    /// It can't be read or unpacked.
    #[error("reading the module")]
    Read(#[from] io::Error),
    /// It is no module.
    #[error("the file is no kernel module")]
    NotAModule,
}

/// What a module says it needs, by module name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The modules whose symbols it uses: it does not load without them.
    pub(super) depends: Vec<String>,
    /// The modules that should be loaded first, if they exist.
    pub(super) soft: Vec<String>,
}

/// Endings of module files, as `CONFIG_MODULE_COMPRESS` makes them.
pub(super) const SUFFIXES: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// A module's bytes as the kernel wants them.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, ModinfoError> {
    let packed = std::fs::read(path)?;
    let mut bytes = Vec::new();
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("xz") => lzma_rust2::XzReader::new(&packed[..], true).read_to_end(&mut bytes)?,
        Some("gz") => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes)?,
        Some("zst") => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&packed[..]);
            decoder.map_err(io::Error::other)?.read_to_end(&mut bytes)?
        }
        _ => return Ok(packed),
    };
    Ok(bytes)
}

/// What the module with these bytes needs.
pub(super) fn needs(module: &[u8]) -> Result<Needs, ModinfoError> {
    let elf: ElfFile64<'_> = ElfFile64::parse(module).map_err(|_| ModinfoError::NotAModule)?;
    let section = elf
        .section_by_name(".modinfo")
        .ok_or(ModinfoError::NotAModule)?;
    let data = section.data().map_err(|_| ModinfoError::NotAModule)?;
    Ok(parse(data))
}

/// The section is a row of `key=value`, each ended by a zero byte.
fn parse(section: &[u8]) -> Needs {
    let mut needs = Needs::default();
    for item in section.split(|&byte| byte == 0) {
        let Some((key, value)) = std::str::from_utf8(item)
            .ok()
            .and_then(|item| item.split_once('='))
        else {
            continue;
        };
        match key {
            "depends" => needs
                .depends
                .extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
            "softdep" => {
                let before = value.split_once("pre:").map_or("", |(_, rest)| rest);
                let before = before.split("post:").next().unwrap_or_default();
                needs.soft.extend(before.split_whitespace().map(normal));
            }
            _ => {}
        }
    }
    needs
}

/// A module's name as the kernel has it: file names use `-` and `_` alike.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_needs_are_read() {
        let section =
            b"license=GPL\0depends=libnvdimm,nd-x\0softdep=pre: crc32c a-b post: z\0depends=\0\0";
        let needs = parse(section);
        assert_eq!(needs.depends, ["libnvdimm", "nd_x"]);
        assert_eq!(needs.soft, ["crc32c", "a_b"]);
        assert_eq!(parse(b"softdep=post: z"), Needs::default());
    }

    #[test]
    fn other_files_are_no_modules() {
        assert!(matches!(needs(b"text"), Err(ModinfoError::NotAModule)));
        assert!(matches!(
            needs(&[0x7f, b'E', b'L', b'F', 2, 1, 1]),
            Err(ModinfoError::NotAModule)
        ));
    }

    /// The word "module", packed by the tools of these names.
    const XZ: [u8; 60] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x6d, 0x6f, 0x64,
        0x75, 0x6c, 0x65, 0x00, 0x00, 0x00, 0x28, 0x26, 0x24, 0x0c, 0x00, 0x01, 0x1a, 0x06, 0xc5,
        0xea, 0xc8, 0x79, 0x90, 0x42, 0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];
    const ZSTD: [u8; 19] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x31, 0x00, 0x00, 0x6d, 0x6f, 0x64, 0x75, 0x6c, 0x65,
        0x5d, 0x89, 0xa9, 0x8d,
    ];
    const GZIP: [u8; 26] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xcd, 0x4f, 0x29, 0xcd,
        0x49, 0x05, 0x00, 0x28, 0x26, 0x24, 0x0c, 0x06, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn each_packing_is_undone_and_a_cut_file_is_an_error() {
        let folder = tempfile::TempDir::new().unwrap();
        for (suffix, packed) in [("xz", &XZ[..]), ("zst", &ZSTD), ("gz", &GZIP)] {
            let path = folder.path().join(format!("a.ko.{suffix}"));
            std::fs::write(&path, packed).unwrap();
            assert_eq!(load(&path).unwrap(), b"module", "{suffix}");
            std::fs::write(&path, &packed[..packed.len() - 5]).unwrap();
            assert!(
                matches!(load(&path), Err(ModinfoError::Read(_))),
                "{suffix}"
            );
        }
        let plain = folder.path().join("a.ko");
        std::fs::write(&plain, "module").unwrap();
        assert_eq!(load(&plain).unwrap(), b"module");
    }
}
