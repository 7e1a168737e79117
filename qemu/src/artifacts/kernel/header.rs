// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Reads a kernel's release out of its image (Linux' Documentation/arch/x86/boot.rst, "The
//! Real-Mode Kernel Header").

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::KernelError;

/// Offset of the magic "HdrS".
const MAGIC_AT: usize = 0x202;
/// Offset of kernel_version: a 16 bit little-endian pointer to a string, less 0x200.
const VERSION_AT: usize = 0x20e;
const VERSION_BASE: usize = 0x200;
/// As far as that pointer reaches, with room for the string.
const LONGEST: u64 = 0x200 + 0x1_0000 + 0x100;

/// The release of the bzImage at `path`, as `uname -r` will print it.
pub(super) fn release(path: &Path) -> Result<String, KernelError> {
    let image = read_start(path).map_err(|source| KernelError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&image).ok_or_else(|| KernelError::NotBzImage(path.to_owned()))
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(image: &[u8]) -> Option<String> {
    if image.get(MAGIC_AT..MAGIC_AT + 4)? != b"HdrS" {
        return None;
    }
    let pointer = image.get(VERSION_AT..VERSION_AT + 2)?;
    let start = VERSION_BASE + usize::from(u16::from_le_bytes([pointer[0], pointer[1]]));
    let text = image
        .get(start..)?
        .split(|&byte| byte == 0 || byte == b' ')
        .next()?;
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(pointer: u16) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[VERSION_AT..VERSION_AT + 2].copy_from_slice(&pointer.to_le_bytes());
        image.extend(b"6.12.1+deb13-amd64 (builder@host) #1 SMP\0");
        image
    }

    #[test]
    fn the_release_is_the_first_word() {
        assert_eq!(parse(&image(0x200)).as_deref(), Some("6.12.1+deb13-amd64"));
    }

    #[test]
    fn other_files_are_refused_and_no_pointer_is_trusted() {
        assert_eq!(parse(b"\x7fELF"), None);
        assert_eq!(parse(&[0; 0x400]), None);
        assert_eq!(parse(&image(0xffff)), None);
        assert_eq!(parse(&image(0)[..VERSION_AT]), None);
    }
}
