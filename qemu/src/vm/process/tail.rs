// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The end of a log, for error messages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How far back from the end of the log to look.
const WINDOW: u64 = 256 << 10;

/// QEMU's messages for each mapping and removal while a VM has more than 8 memory regions and a
/// daemon without CONFIGURE_MEM_SLOTS. They mean nothing, and hide other lines.
const NOISE: [&str; 2] = [
    "Failed preparing vhost-user memory table msg",
    "vhost_set_mem_table failed: No buffer space available (105)",
];

/// The last `lines` lines of the log at `path`, indented for an error message, with the terminal
/// control bytes that a guest's console may hold left out. Says so if there is nothing to show.
pub fn tail(path: &Path, lines: usize) -> String {
    match last_bytes(path) {
        Ok(bytes) => shown(&bytes, lines),
        Err(error) => format!("  (can't read {}: {error})", path.display()),
    }
}

fn last_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shown(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !NOISE.iter().any(|noise| line.ends_with(noise)))
        .collect();
    if kept.is_empty() {
        return "  (empty)".to_owned();
    }
    kept[kept.len().saturating_sub(lines)..]
        .iter()
        .map(|line| {
            format!(
                "  {}",
                line.replace(|c: char| c.is_control() && c != '\t', "")
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_says_of_each_mapping_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let noise = NOISE
            .map(|line| format!("qemu-system-x86_64: {line}\n"))
            .concat();
        let text = format!("what went wrong\n{}and how\n{noise}", noise.repeat(900));
        std::fs::write(&log, text).unwrap();
        assert_eq!(tail(&log, 2), "  what went wrong\n  and how");
    }

    #[test]
    fn the_last_lines_are_shown_without_control_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "one\ntwo\r\n\n\x1b[1mthree\n").unwrap();
        assert_eq!(tail(&log, 2), "  two\n  [1mthree");
        assert_eq!(tail(&log, 9), "  one\n  two\n  [1mthree");
    }

    #[test]
    fn a_log_larger_than_the_window_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "x".repeat(100_000) + "\nlast").unwrap();
        assert_eq!(tail(&log, 1), "  last");
    }

    #[test]
    fn nothing_to_show_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(tail(&dir.path().join("none"), 5).contains("can't read"));
    }
}
