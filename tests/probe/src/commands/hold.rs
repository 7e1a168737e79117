// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Holds a mapping and does to it what is asked on standard input, one line at a time, so that a
//! test on the host decides exactly when the guest looks.

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::access::{Access, How, Intent, open};
use crate::cli::Verdict;

/// Opens a file, says `ready`, and answers `load OFFSET LEN` (bytes in hexadecimal), `store OFFSET
/// HEX` (`stored`), `populate OFFSET LEN` (`populated`: page table entries without an access), `sync`
/// (fsync by a new descriptor: `synced` or `failed`) and `quit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file.
    path: PathBuf,
    /// In which way its bytes are reached.
    #[arg(long, value_enum)]
    how: How,
    /// Opens and maps it writable.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let intent = if args.write {
        Intent::Write
    } else {
        Intent::Read
    };
    let access = Access::open(&args.path, args.how, intent)?;
    answer("ready")?;
    for line in stdin().lock().lines() {
        let line = line.context("can't read a command")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["load", offset, len] => {
                let mut buffer = vec![0; len.parse()?];
                access.read(offset.parse()?, &mut buffer)?;
                answer(&to_hex(&buffer))?;
            }
            ["store", offset, hex] => {
                access.write(offset.parse()?, &from_hex(hex)?)?;
                answer("stored")?;
            }
            ["populate", offset, len] => {
                populate(&access, offset.parse()?, len.parse()?)?;
                answer("populated")?;
            }
            ["sync"] => answer(match open(&args.path, intent)?.sync_all() {
                Ok(()) => "synced",
                Err(_) => "failed",
            })?,
            ["quit"] => break,
            _ => bail!("not a command: {line:?}"),
        }
    }
    Ok(Verdict::Pass)
}

fn populate(access: &Access, offset: usize, len: usize) -> Result<()> {
    match access {
        Access::Mmap(mapping) => Ok(mapping.populate(offset, len)?),
        Access::Syscall(_) => bail!("only a mapping can be populated"),
    }
}

fn answer(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")?;
    out.flush().context("can't answer")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        bail!("not pairs of hexadecimal digits: {text:?}");
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).context("not hexadecimal"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_survives_both_ways_and_bad_digits_do_not_pass() {
        assert_eq!(from_hex(&to_hex(&[0, 255, 16])).unwrap(), [0, 255, 16]);
        for bad in ["0", "zz", "é"] {
            assert!(from_hex(bad).is_err(), "{bad:?} passed");
        }
    }
}
