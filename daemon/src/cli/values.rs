// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What one option's value may look like.
//!
//! Each function is a clap value parser. Its error is the end of clap's sentence "invalid value
//! 'X' for '--option': …".

use std::num::NonZeroU16;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use log::LevelFilter;
use virtiofsd::passthrough::xattrmap::XattrMap;
use virtiofsd::passthrough::{CachePolicy, InodeFileHandlesMode, MigrationMode, MigrationOnError};
use virtiofsd::sandbox::SandboxMode;
use virtiofsd::soft_idmap::cmdline::IdMap;

use crate::cli::args::share::InodeFileHandles;
use crate::config::{CapabilityChanges, MetricsAddress, RequestedSize};

/// Longest tag in bytes: the field of the device's configuration (virtio 1.2, 5.11.4).
const MAX_TAG_LEN: usize = 36;

/// Most request queues: with the high-priority queue they fill vhost-user-backend's 64-bit masks
/// of queues.
const MAX_REQUEST_QUEUES: u16 = 63;

/// `--tag`.
pub(super) fn tag(text: &str) -> Result<String, String> {
    match text.len() {
        1..=MAX_TAG_LEN => Ok(text.to_owned()),
        0 => Err("a tag has at least one byte".to_owned()),
        len => Err(format!(
            "a tag has at most {MAX_TAG_LEN} bytes, this one has {len}"
        )),
    }
}

/// `--request-queues`.
pub(super) fn request_queues(text: &str) -> Result<NonZeroU16, String> {
    text.parse::<NonZeroU16>()
        .ok()
        .filter(|queues| queues.get() <= MAX_REQUEST_QUEUES)
        .ok_or_else(|| format!("expected a number from 1 to {MAX_REQUEST_QUEUES}"))
}

/// A size in bytes; prefixes are powers of 1024 with and without the `i`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    parse_size::Config::new()
        .with_binary()
        .parse_size(text)
        .map_err(|error| format!("{error}; expected a size such as 4096, 128K or 256MiB"))
}

/// `--dax-window`.
pub(super) fn window_size(text: &str) -> Result<RequestedSize, String> {
    RequestedSize::try_from(size(text)?).map_err(|error| error.to_string())
}

/// `--metrics`.
pub(super) fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    text.parse::<MetricsAddress>()
        .map_err(|error| error.to_string())
}

/// `--modcaps`.
pub(super) fn modcaps(text: &str) -> Result<CapabilityChanges, String> {
    text.parse::<CapabilityChanges>()
        .map_err(|error| error.to_string())
}

/// `--xattrmap`. The library keeps the lowest byte of each character, and panics where that is 0.
pub(super) fn xattrmap(text: &str) -> Result<XattrMap, String> {
    if let Some(other) = text.chars().find(|c| !c.is_ascii() || *c == '\0') {
        return Err(format!("{other:?} can't be part of a rule, which is ASCII"));
    }
    XattrMap::try_from(text).map_err(|error| error.to_string())
}

/// `--translate-uid` and `--translate-gid`. The library checks the range that is translated, but not
/// the one that it is translated to, and would do so beyond its end.
pub(super) fn id_map(text: &str) -> Result<IdMap, String> {
    let map: IdMap = text
        .parse()
        .map_err(|error: virtiofsd::soft_idmap::cmdline::IdMapError| error.to_string())?;
    let (starts, count) = match map {
        IdMap::Guest {
            from_guest: from,
            to_host: to,
            count,
        }
        | IdMap::Host {
            from_host: from,
            to_guest: to,
            count,
        }
        | IdMap::Bidirectional {
            guest: from,
            host: to,
            count,
        } => ([from, to], count),
        IdMap::SquashGuest {
            from_guest: from,
            count,
            ..
        }
        | IdMap::SquashHost {
            from_host: from,
            count,
            ..
        }
        | IdMap::ForbidGuest {
            from_guest: from,
            count,
        } => ([from; 2], count),
    };
    match starts
        .into_iter()
        .find(|start| start.checked_add(count).is_none())
    {
        Some(start) => Err(format!(
            "{count} IDs from {start} on end beyond the last one"
        )),
        None => Ok(map),
    }
}

/// `--cache`.
pub(super) fn cache_policy() -> impl TypedValueParser<Value = CachePolicy> {
    PossibleValuesParser::new(["auto", "always", "never", "metadata"])
        .try_map(|name| name.parse::<CachePolicy>())
}

/// `--sandbox`.
pub(super) fn sandbox_mode() -> impl TypedValueParser<Value = SandboxMode> {
    PossibleValuesParser::new(["namespace", "chroot", "none"])
        .try_map(|name| name.parse::<SandboxMode>())
}

/// `--migration-mode`.
pub(super) fn migration_mode() -> impl TypedValueParser<Value = MigrationMode> {
    PossibleValuesParser::new(["find-paths", "file-handles"])
        .try_map(|name| name.parse::<MigrationMode>())
}

/// `--migration-on-error`.
pub(super) fn migration_on_error() -> impl TypedValueParser<Value = MigrationOnError> {
    PossibleValuesParser::new(["abort", "guest-error"])
        .try_map(|name| name.parse::<MigrationOnError>())
}

/// `--log-level`.
pub(super) fn log_level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace", "off"])
        .try_map(|name| name.parse::<LevelFilter>())
}

/// `--inode-file-handles`.
pub(super) fn inode_file_handles() -> impl TypedValueParser<Value = InodeFileHandles> {
    PossibleValuesParser::new(["never", "prefer", "mandatory", "fallback"]).map(|name| {
        InodeFileHandles {
            mode: match name.as_str() {
                "never" => InodeFileHandlesMode::Never,
                "mandatory" => InodeFileHandlesMode::Mandatory,
                _ => InodeFileHandlesMode::Prefer,
            },
            deprecated_name: name == "fallback",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{id_map, request_queues, size, tag, xattrmap};

    #[test]
    fn no_range_of_ids_ends_beyond_the_last_one() {
        let table = [
            ("guest:0:4294967290:5", true),
            ("guest:0:4294967290:6", false),
            ("guest:4294967290:0:6", false),
            ("host:1000:4294967295:1", false),
            ("map:0:4294967295:0", true),
            ("map:0:1:4294967295", false),
            ("squash-guest:0:4294967295:4294967295", true),
            ("squash-host:1:0:4294967295", false),
            ("forbid-guest:1:4294967295", false),
            ("forbid-guest:1000:10", true),
        ];
        for (text, ok) in table {
            assert_eq!(id_map(text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn rules_for_attributes_are_ascii() {
        assert!(xattrmap(":prefix:all:user.:trusted.: :ok:all:::").is_ok());
        // The lowest byte of the first is 0, that of the second the letter A.
        for other in ['\u{100}', '\u{141}', '\0'] {
            let text = format!(":prefix:all:{other}:trusted.:");
            let refused = xattrmap(&text).expect_err("it is not ASCII");
            assert!(refused.contains("ASCII"), "{refused}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let table = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("128K", Some(128 << 10)),
            ("128k", Some(128 << 10)),
            ("16M", Some(16 << 20)),
            ("16MiB", Some(16 << 20)),
            ("2G", Some(2 << 30)),
            ("2 GiB", Some(2 << 30)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("12 apples", None),
            ("99999999999G", None),
        ];
        for (text, expected) in table {
            assert_eq!(size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_tag_fits_its_field() {
        assert!(tag("").is_err());
        assert!(tag("t").is_ok());
        assert!(tag(&"t".repeat(36)).is_ok());
        assert!(tag(&"t".repeat(37)).is_err());
        assert!(tag(&"ü".repeat(19)).is_err(), "bytes count, not characters");
    }

    #[test]
    fn request_queues_have_both_bounds() {
        for (text, ok) in [
            ("0", false),
            ("1", true),
            ("63", true),
            ("64", false),
            ("-1", false),
            ("65536", false),
        ] {
            assert_eq!(request_queues(text).is_ok(), ok, "{text}");
        }
    }
}
