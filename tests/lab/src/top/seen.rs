// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon's state, in the format of `daemon/docs/metrics.md`.

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

/// The version of the format.
const VERSION: u32 = 1;
/// The replacement for control characters.
const HARMLESS: char = '\u{fffd}';

/// The answer of a daemon.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    version: u32,
    /// The start of the daemon, in seconds since the epoch.
    pub started: f64,
    /// The time since the start, in milliseconds.
    pub now_ms: u64,
    /// The counters.
    pub totals: Totals,
    /// Requests by class.
    pub classes: Vec<Class>,
    /// The window, if there is one.
    pub window: Option<Window>,
}

/// Counters since the start.
#[derive(Debug, Clone, Deserialize)]
pub struct Totals {
    pub requests: u64,
    pub queues: Vec<u64>,
    pub errors: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub maps: u64,
    pub unmaps: u64,
    pub upgrades: u64,
    pub refused: u64,
}

/// Requests of one class.
#[derive(Debug, Clone, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The number of requests.
    pub count: u64,
    /// Their total time.
    pub seconds: f64,
}

/// A window; sizes are bytes.
#[derive(Debug, Clone, Deserialize)]
pub struct Window {
    pub size: u64,
    pub range: u64,
    pub occupied: u64,
    pub used: u64,
    pub views: u64,
    pub regions: Regions,
    pub files: Vec<File>,
    pub ranges: Vec<Range>,
}

/// The VM's memory regions.
#[derive(Debug, Clone, Deserialize)]
pub struct Regions {
    pub in_use: u64,
    pub limit: Option<u64>,
}

/// A file with a mapping.
#[derive(Debug, Clone, Deserialize)]
pub struct File {
    pub node: u64,
    inode: String,
    path: Option<String>,
}

/// A range that is not free.
#[derive(Debug, Clone, Deserialize)]
pub struct Range {
    pub at: u64,
    pub len: u64,
    pub file: usize,
    pub age_ms: u64,
    pub writable: bool,
    pub state: String,
}

impl Seen {
    /// Parses the answer, and checks the values that are used as an index or a divisor.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let seen: Self = serde_json::from_slice(text)?;
        if seen.version != VERSION {
            bail!("it is of version {}, not {VERSION}", seen.version);
        }
        if let Some(window) = &seen.window {
            ensure!(window.range > 0, "its ranges have no size");
            let known = |range: &Range| range.file < window.files.len();
            ensure!(window.ranges.iter().all(known), "a range is of no file");
        }
        Ok(seen)
    }
}

impl File {
    /// The name to print, which is harmless on any terminal.
    pub fn name(&self) -> String {
        let name = match &self.path {
            Some(path) => path.clone(),
            None => format!("inode {}", self.inode),
        };
        name.replace(char::is_control, &HARMLESS.to_string())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The example of the documentation.
    pub fn example() -> String {
        let manual = include_str!("../../../../daemon/docs/metrics.md");
        let (_, rest) = manual.split_once("```json\n").unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    }

    /// A window of 128 ranges with three files. The name of one of them has control characters.
    pub fn busy() -> Seen {
        let mut seen = Seen::from_json(example().as_bytes()).unwrap();
        let window = seen.window.as_mut().unwrap();
        let (file, range) = (window.files[0].clone(), window.ranges[0].clone());
        let file = |node, path: &str| File {
            node,
            path: Some(path.to_owned()),
            ..file.clone()
        };
        window.files = vec![
            file(2, "/vm/root.img"),
            file(5, "/a\u{1b}[2J\u{7}b"),
            file(
                9,
                "/a very long name/that goes on and on/and does not fit/into any column.bin",
            ),
        ];
        let states = |at: u64| if at == 41 { "unknown" } else { "live" };
        window.ranges = (0..128)
            .filter(|at| at % 3 != 1)
            .map(|at| Range {
                at: at * window.range,
                file: (at % 5 % 3) as usize,
                age_ms: at * 1000,
                writable: at % 2 == 0,
                state: states(at).to_owned(),
                ..range.clone()
            })
            .collect();
        window.occupied = window.ranges.len() as u64 * window.range;
        seen
    }

    #[test]
    fn the_manual_s_example_is_understood() {
        let seen = Seen::from_json(example().as_bytes()).unwrap();
        let window = seen.window.unwrap();
        assert_eq!(window.files[window.ranges[0].file].name(), "/dir/file");
        assert_eq!((window.size, window.ranges[0].age_ms), (256 << 20, 1200));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (old, new) in [
            ("\"version\": 1", "\"version\": 2"),
            ("\"file\": 0", "\"file\": 1"),
            ("\"range\": 2097152", "\"range\": 0"),
            ("\"size\"", "\"sighs\""),
        ] {
            let text = example().replacen(old, new, 1);
            assert!(Seen::from_json(text.as_bytes()).is_err(), "{new}");
        }
    }

    #[test]
    fn a_name_moves_no_cursor() {
        let names: Vec<_> = busy()
            .window
            .unwrap()
            .files
            .iter()
            .map(File::name)
            .collect();
        assert!(
            names.iter().all(|name| !name.contains(char::is_control)),
            "{names:?}"
        );
        assert_eq!(names[1], "/a\u{fffd}[2J\u{fffd}b");
    }
}
