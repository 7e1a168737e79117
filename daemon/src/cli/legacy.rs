// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The `-o` options of the daemon that was once part of QEMU, rewritten as long options.
//!
//! This module only knows spellings. The one parser that reads its result knows what a setting
//! means, and whether a path or a rule is valid.

/// Why an item of `-o` can't be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LegacyError {
    /// There is no such option, or a value is missing or not allowed.
    #[error("unknown option '{item}' in '-o {item}'")]
    Unknown {
        /// The item between two commas.
        item: String,
    },
    /// An option that has a list of values, and this is none of them.
    #[error("invalid value '{value}' for '-o {name}', expected {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// The value given.
        value: String,
        /// The values there are.
        expected: String,
    },
}

/// Items without a value, each with the long option it stands for; `None` is accepted and has no
/// effect, as in virtiofsd.
const FLAGS: [(&str, Option<&str>); 19] = [
    ("xattr", Some("--xattr")),
    ("no_xattr", Some("--no-xattr")),
    ("readdirplus", Some("--readdirplus")),
    ("no_readdirplus", Some("--no-readdirplus")),
    ("writeback", Some("--writeback")),
    ("no_writeback", Some("--no-writeback")),
    ("allow_direct_io", Some("--allow-direct-io")),
    ("no_allow_direct_io", Some("--no-allow-direct-io")),
    ("announce_submounts", Some("--announce-submounts")),
    ("killpriv_v2", Some("--killpriv-v2")),
    ("no_killpriv_v2", Some("--no-killpriv-v2")),
    ("posix_acl", Some("--posix-acl=always")),
    ("no_posix_acl", Some("--posix-acl=never")),
    ("security_label", Some("--security-label=always")),
    ("no_security_label", Some("--security-label=never")),
    // virtiofsd refuses these two. libvirt's <lock> passes them.
    ("posix_lock", Some("--locks=host")),
    ("flock", Some("--locks=host")),
    ("no_posix_lock", None),
    ("no_flock", None),
];

/// An item with a value that is one of a list.
struct Choice {
    /// The item's name.
    name: &'static str,
    /// The long option.
    long: &'static str,
    /// The item's words, each with the long option's word for it.
    words: &'static [(&'static str, &'static str)],
}

/// All items of that kind.
const CHOICES: [Choice; 3] = [
    Choice {
        name: "cache",
        long: "--cache",
        words: &[
            ("auto", "auto"),
            ("always", "always"),
            ("none", "never"),
            ("metadata", "metadata"),
        ],
    },
    Choice {
        name: "loglevel",
        long: "--log-level",
        words: &[
            ("debug", "debug"),
            ("info", "info"),
            ("warn", "warn"),
            ("err", "error"),
        ],
    },
    Choice {
        name: "sandbox",
        long: "--sandbox",
        words: &[("namespace", "namespace"), ("chroot", "chroot")],
    },
];

/// Items whose value is taken as it is.
const VALUES: [(&str, &str); 3] = [
    ("source", "--shared-dir"),
    ("modcaps", "--modcaps"),
    ("xattrmap", "--xattrmap"),
];

/// The long options that one `-o` argument, a comma-separated list, stands for.
pub(super) fn long_options(list: &str) -> Result<Vec<String>, LegacyError> {
    list.split(',')
        .filter_map(|item| long_option(item).transpose())
        .collect()
}

/// The long option that one item stands for, if it stands for any.
fn long_option(item: &str) -> Result<Option<String>, LegacyError> {
    let unknown = || LegacyError::Unknown {
        item: item.to_owned(),
    };
    let Some((name, value)) = item.split_once('=') else {
        let (_, long) = FLAGS
            .iter()
            .find(|(flag, _)| *flag == item)
            .ok_or_else(unknown)?;
        return Ok(long.map(str::to_owned));
    };
    if let Some((_, long)) = VALUES.iter().find(|(option, _)| *option == name) {
        return Ok(Some(format!("{long}={value}")));
    }
    let choice = CHOICES
        .iter()
        .find(|choice| choice.name == name)
        .ok_or_else(unknown)?;
    choice.long_option(value).map(Some)
}

impl Choice {
    /// The long option for one of the words.
    fn long_option(&self, value: &str) -> Result<String, LegacyError> {
        match self.words.iter().find(|(word, _)| *word == value) {
            Some((_, meant)) => Ok(format!("{}={meant}", self.long)),
            None => {
                let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
                Err(LegacyError::Value {
                    name: self.name,
                    value: value.to_owned(),
                    expected: words.join(", "),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LegacyError, long_options};

    #[test]
    fn a_list_keeps_its_order_and_drops_what_has_no_effect() {
        assert_eq!(
            long_options("source=/srv/a=b,no_flock,cache=none,no_xattr"),
            Ok(vec![
                "--shared-dir=/srv/a=b".to_owned(),
                "--cache=never".to_owned(),
                "--no-xattr".to_owned(),
            ])
        );
    }

    #[test]
    fn unknown_items_and_values_are_named() {
        for item in ["bogus", "cache", "xattr=1", "bogus=1", ""] {
            assert_eq!(
                long_options(item),
                Err(LegacyError::Unknown {
                    item: item.to_owned()
                })
            );
        }
        let error = long_options("sandbox=none").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value 'none' for '-o sandbox', expected namespace, chroot"
        );
    }
}
