// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Column heads: a removal's name in a few short lines.

use crate::text;

/// The columns of a head.
const WIDTH: usize = 6;
/// Its lines: a name that takes more is cut, and stands whole in the lists below the matrix.
const LINES: usize = 4;

/// Words that are longer than a head and can be cut without becoming another word.
const SHORT: [(&str, &str); 12] = [
    ("allocate", "alloc"),
    ("collapse", "collap"),
    ("eviction", "evict"),
    ("exchange", "exchg"),
    ("fallocate", "falloc"),
    ("pressure", "press"),
    ("reclaim", "reclm"),
    ("reclaimed", "reclmd"),
    ("reflink", "reflnk"),
    ("release", "releas"),
    ("replace", "replac"),
    ("truncate", "trunc"),
];

/// The lines of a removal's head, one word a line where they don't fit together.
pub fn head(removal: &str) -> Vec<String> {
    let words: Vec<_> = removal
        .split(['-', '_', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| match SHORT.iter().find(|(long, _)| *long == word) {
            Some((_, short)) => short,
            None => word,
        })
        .collect();
    let mut lines = text::wrap(&words.join(" "), WIDTH);
    lines.truncate(LINES);
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fixture::REMOVALS;

    #[test]
    fn heads_are_short_and_differ() {
        let heads: HashSet<_> = REMOVALS.iter().map(|removal| head(removal)).collect();
        assert_eq!(heads.len(), REMOVALS.len());
        assert!(heads.iter().all(|head| head.len() <= 3), "{heads:?}");
        assert_eq!(head("truncate-mid"), ["trunc", "mid"]);
        assert_eq!(head("o-trunc"), ["o", "trunc"]);
        assert_eq!(head("host-daemon-killed"), ["host", "daemon", "killed"]);
    }
}
