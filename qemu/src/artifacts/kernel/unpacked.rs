// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The ELF file in a bzImage. A bzImage unpacks itself at each boot, which takes an emulated CPU
//! about two seconds. QEMU can start the ELF file instead, at its PVH entry. The formats are those of
//! Linux: Documentation/arch/x86/boot.rst has the bzImage's header, and
//! include/xen/interface/elfnote.h the note with the entry.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::NoteType;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use sha2::{Digest, Sha256};

use super::KernelError;
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError};

const PREFIX: &str = "kernel-unpacked-";
const FILE: &str = "vmlinux";
/// How many of these the cache keeps.
const KEPT: usize = 8;

/// Offsets in the header: of setup_sects, payload_offset and payload_length.
const SETUP_SECTS_AT: usize = 0x1f1;
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
const SECTOR: usize = 512;

/// The note that holds the PVH entry (XEN_ELFNOTE_PHYS32_ENTRY).
const PVH_OWNER: &[u8] = b"Xen";
const PVH_TYPE: NoteType = NoteType(18);

/// The ELF file in the bzImage `image`. `None` if QEMU can't start it: it has no PVH entry
/// (CONFIG_PVH), or it is packed in a way that is not known here.
pub(super) fn obtain(image: &Path, cache: &Cache) -> Result<Option<PathBuf>, KernelError> {
    let bytes = fs::read(image).map_err(|source| KernelError::Read {
        path: image.to_owned(),
        source,
    })?;
    let digest = format!("{:x}", Sha256::digest(&bytes));
    let name = format!("{PREFIX}{}", &digest[..16]);
    if let Some(tree) = artifact::open(cache, &name)? {
        return Ok(Some(tree.join(FILE)));
    }
    let Some(elf) = payload(&bytes).and_then(unpack).filter(|elf| has_pvh(elf)) else {
        return Ok(None);
    };
    let tree = artifact::obtain(cache, &name, |lock, tree| {
        let file = tree.join(FILE);
        fs::write(&file, &elf).map_err(CacheError::io("writing", &file))?;
        artifact::prune(cache, lock, PREFIX, KEPT - 1)
    })?;
    Ok(Some(tree.join(FILE)))
}

/// The packed part of a bzImage.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    // Zero stands for four sectors.
    let sectors = match *image.get(SETUP_SECTS_AT)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * SECTOR + word(PAYLOAD_OFFSET_AT)?;
    image.get(start..start.checked_add(word(PAYLOAD_LENGTH_AT)?)?)
}

/// The packing is told by its first bytes. The size that follows the packed data is not read.
fn unpack(payload: &[u8]) -> Option<Vec<u8>> {
    let mut elf = Vec::new();
    let read = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ruzstd::decoding::StreamingDecoder::new(payload)
            .map_err(io::Error::other)
            .and_then(|mut decoder| decoder.read_to_end(&mut elf)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            lzma_rust2::XzReader::new(payload, false).read_to_end(&mut elf)
        }
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(payload).read_to_end(&mut elf),
        _ => return None,
    };
    read.ok().map(|_| elf)
}

fn has_pvh(bytes: &[u8]) -> bool {
    let Ok(elf) = ElfFile64::<Endianness>::parse(bytes) else {
        return false;
    };
    let endian = elf.endian();
    elf.elf_program_headers().iter().any(|header| {
        let Ok(Some(notes)) = header.notes(endian, bytes) else {
            return false;
        };
        notes
            .map_while(Result::ok)
            .any(|note| note.name() == PVH_OWNER && note.n_type(endian) == PVH_TYPE)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::artifacts::Progress;

    /// The smallest ELF file with a note of this owner: header, program header, note.
    fn elf(owner: &[u8; 4]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        for half in [2_u16, 62] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(1_u32.to_le_bytes());
        for long in [0_u64, 64, 0] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 1, 64, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        // PT_NOTE, at offset 120, with 20 bytes.
        for word in [4_u32, 4] {
            bytes.extend(word.to_le_bytes());
        }
        for long in [120_u64, 0, 0, 20, 20, 4] {
            bytes.extend(long.to_le_bytes());
        }
        for word in [4_u32, 4, 18] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(owner);
        bytes.extend([0; 4]);
        bytes
    }

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTS_AT] = 1;
        let length = u32::try_from(payload.len()).unwrap();
        image[PAYLOAD_OFFSET_AT..][..4].copy_from_slice(&4_u32.to_le_bytes());
        image[PAYLOAD_LENGTH_AT..][..4].copy_from_slice(&length.to_le_bytes());
        image.extend([0xff; 4]);
        image.extend(payload);
        image
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn obtained(image: &[u8]) -> Option<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bzImage");
        fs::write(&path, image).unwrap();
        let cache = Cache::at(&dir.path().join("cache"), Progress::silent()).unwrap();
        let first = obtain(&path, &cache).unwrap();
        assert_eq!(first, obtain(&path, &cache).unwrap());
        first.map(|path| fs::read(path).unwrap())
    }

    #[test]
    fn the_file_inside_is_found() {
        let packed = image(&gz(&elf(b"Xen\0")));
        assert_eq!(obtained(&packed).unwrap(), elf(b"Xen\0"));
        // Its entry is what QEMU needs.
        assert_eq!(obtained(&image(&gz(&elf(b"GNU\0")))), None);
    }

    #[test]
    fn no_length_is_trusted() {
        let whole = image(&gz(&elf(b"Xen\0")));
        for end in 0..whole.len() {
            assert_eq!(payload(&whole[..end]).and_then(unpack), None, "{end} bytes");
        }
        assert_eq!(unpack(b"no packing"), None);
    }
}
