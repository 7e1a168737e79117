// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Load order, on a folder of modules made for the purpose.

use tempfile::TempDir;

use super::*;

/// The least ELF file that has a `.modinfo` section: header, section, names, section table.
fn module(info: &str) -> Vec<u8> {
    const HEADER: usize = 64;
    const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
    let info = info.as_bytes();
    let names_at = HEADER + info.len();
    let table_at = names_at + NAMES.len();
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([1, 0, 62, 0, 1, 0, 0, 0]); // ET_REL, EM_X86_64, version
    elf.extend([0; 16]); // entry, program headers
    elf.extend((table_at as u64).to_le_bytes());
    elf.extend([0; 4]); // flags
    for half in [HEADER as u16, 0, 0, 64, 3, 2] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(info);
    elf.extend(NAMES);
    let section = |name: u32, kind: u32, at: usize, size: usize| {
        let mut bytes = [name.to_le_bytes(), kind.to_le_bytes()].concat();
        for word in [0, 0, at as u64, size as u64, 0, 1, 0] {
            bytes.extend(u64::to_le_bytes(word));
        }
        bytes
    };
    elf.extend(section(0, 0, 0, 0));
    elf.extend(section(1, 1, HEADER, info.len()));
    elf.extend(section(10, 3, names_at, NAMES.len()));
    elf
}

fn folder(builtin: &str, modules: &[(&str, &str)]) -> (TempDir, ModuleFolder) {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("kernel/fs")).unwrap();
    fs::write(root.path().join("modules.builtin"), builtin).unwrap();
    for (file, info) in modules {
        fs::write(root.path().join("kernel/fs").join(file), module(info)).unwrap();
    }
    let scanned = ModuleFolder::scan(root.path()).unwrap();
    (root, scanned)
}

fn order(folder: &ModuleFolder, names: &[&str]) -> Result<Vec<String>, ModulesError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Ok(folder
        .load_order(&names)?
        .into_iter()
        .map(|module| module.name)
        .collect())
}

#[test]
fn what_is_needed_comes_first_and_once() {
    let (_root, folder) = folder(
        "",
        &[
            ("top.ko", "depends=left,right\0"),
            ("left.ko", "depends=base-lib\0"),
            (
                "right.ko",
                "depends=base_lib\0softdep=pre: crc32c nothing\0",
            ),
            ("base-lib.ko", "depends=\0"),
            ("crc32c_generic.ko", "license=GPL\0"),
        ],
    );
    let expected = ["base_lib", "left", "crc32c_generic", "right", "top"];
    assert_eq!(
        order(&folder, &["top", "left", "base-lib"]).unwrap(),
        expected
    );
}

#[test]
fn what_is_built_in_is_not_loaded() {
    let builtin = "kernel/fs/fuse/fuse.ko\nkernel/drivers/virtio/virtio-pci.ko\n";
    let (_root, folder) = folder(builtin, &[("virtiofs.ko", "depends=fuse\0")]);
    assert_eq!(
        order(&folder, &["virtio_pci", "virtiofs"]).unwrap(),
        ["virtiofs"]
    );
    assert!(folder.has("virtio-pci") && folder.has("virtiofs") && !folder.has("xfs"));
}

#[test]
fn a_missing_module_is_named_with_the_one_that_needs_it() {
    let (_root, folder) = folder("", &[("top.ko", "depends=gone\0")]);
    let error = order(&folder, &["top"]).unwrap_err().to_string();
    assert!(
        error.starts_with("the kernel has no module gone (needed by top), "),
        "{error}"
    );
    assert!(matches!(
        order(&folder, &["other"]),
        Err(ModulesError::Missing {
            wanted_by: None,
            ..
        })
    ));
}

#[test]
fn a_circle_ends() {
    let (_root, folder) = folder("", &[("a.ko", "depends=b\0"), ("b.ko", "depends=a\0")]);
    assert_eq!(order(&folder, &["a"]).unwrap(), ["b", "a"]);
}

#[test]
fn a_file_that_is_no_module_is_named() {
    let (root, folder) = folder("", &[("a.ko", "")]);
    let path = root.path().join("kernel/fs/a.ko");
    fs::write(&path, "text").unwrap();
    assert_eq!(
        order(&folder, &["a"]).unwrap_err().to_string(),
        path.display().to_string()
    );
}
