// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The Debian mirrors of this machine, according to its apt.
//!
//! apt prints the addresses that it would update from, so both forms of its sources (`.list` and
//! `.sources`) and its variables need no parser here. Whether a candidate really is a Debian mirror
//! shows later: its index must be signed by Debian's archive keys.

use std::fs;
use std::path::{Path, PathBuf};

use super::tool::{self, ToolError};

/// Why no mirror is known.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// apt can't be run.
    #[error("asking apt for this machine's mirrors")]
    Apt(#[from] ToolError),
    /// apt has no Debian source.
    #[error(
        "apt on this machine has no Debian mirror: add one to /etc/apt/sources.list.d, or set DAXLAB_MIRROR to its URL"
    )]
    None,
    /// Debian's keys are missing.
    #[error(
        "Debian's archive keys are not in {KEYRING_FOLDER}: install the package debian-archive-keyring"
    )]
    NoKeyring,
}

/// Suites whose mirror is Debian's main archive; a machine of another suite names it in os-release.
const SUITES: [&str; 9] = [
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "stable",
    "testing",
    "unstable",
    "oldstable",
    "oldoldstable",
];

const KEYRING_FOLDER: &str = "/usr/share/keyrings";

/// The base address of a Debian archive: the part before `dists/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror(pub(crate) String);

/// The machine's Debian mirrors, the likeliest first; never empty.
pub(crate) fn candidates(no_lists: &Path) -> Result<Vec<Mirror>, MirrorError> {
    if let Some(mirror) = std::env::var("DAXLAB_MIRROR")
        .ok()
        .filter(|url| !url.is_empty())
    {
        return Ok(vec![Mirror(mirror)]);
    }
    let lists = format!("Dir::State::Lists={}", no_lists.display());
    let mut apt = tool::command("apt-get");
    // Without lists of its own, apt names the index of every source.
    let printed = tool::output(apt.args(["update", "--print-uris", "-o", &lists]))?;
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let mirrors = parse(&printed, codename(&os_release));
    if mirrors.is_empty() {
        Err(MirrorError::None)
    } else {
        Ok(mirrors)
    }
}

/// The file with Debian's archive keys; newer releases name it differently.
pub(crate) fn keyring() -> Result<PathBuf, MirrorError> {
    let names = ["debian-archive-keyring.pgp", "debian-archive-keyring.gpg"];
    let paths = names.map(|name| Path::new(KEYRING_FOLDER).join(name));
    paths
        .into_iter()
        .find(|path| path.exists())
        .ok_or(MirrorError::NoKeyring)
}

fn codename(os_release: &str) -> Option<&str> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"'))
}

/// Reads lines such as `'http://mirror/debian/dists/trixie/InRelease' name 0`.
fn parse(printed: &str, own_suite: Option<&str>) -> Vec<Mirror> {
    let mut found: Vec<Mirror> = Vec::new();
    for line in printed.lines() {
        let Some((url, _)) = line
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''))
        else {
            continue;
        };
        let Some((base, suite)) = url
            .strip_suffix("/InRelease")
            .and_then(|url| url.split_once("/dists/"))
        else {
            continue;
        };
        let debian = SUITES.contains(&suite) || own_suite == Some(suite);
        let mirror = Mirror(base.to_owned());
        if debian && !base.starts_with("cdrom:") && !found.contains(&mirror) {
            found.push(mirror);
        }
    }
    // Other archives use Debian's suite names too, but seldom its usual folder.
    found.sort_by_key(|mirror| !mirror.0.ends_with("/debian"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
'http://packages.example/apt/dists/trixie/InRelease' a 0
'http://mirror.example/debian/dists/trixie/InRelease' b 0
'http://mirror.example/debian/dists/trixie-updates/InRelease' c 0
'http://mirror.example/debian-security/dists/trixie-security/InRelease' d 0
'http://mirror.example/debian/dists/trixie/main/binary-amd64/Packages.xz' e 0
'cdrom:[Debian]/dists/trixie/InRelease' f 0
'https://flat.example/./InRelease' g 0
'https://derived.example/ubuntu/dists/noble/InRelease' h 0
";

    #[test]
    fn debians_mirror_comes_first_and_once() {
        let expected = [
            "http://mirror.example/debian",
            "http://packages.example/apt",
        ];
        assert_eq!(
            parse(PRINTED, None),
            expected.map(|url| Mirror(url.to_owned()))
        );
    }

    #[test]
    fn the_machines_own_suite_counts_whatever_its_name() {
        let os_release = "NAME=\"x\"\nVERSION_CODENAME=noble\n";
        let mirrors = parse(PRINTED, codename(os_release));
        assert!(mirrors.contains(&Mirror("https://derived.example/ubuntu".to_owned())));
        assert_eq!(codename("VERSION_CODENAME=\"sid\"\n"), Some("sid"));
        assert_eq!(codename("NAME=x\n"), None);
    }

    #[test]
    fn nothing_printed_is_no_mirror() {
        assert!(parse("Reading package lists...\n", Some("trixie")).is_empty());
    }
}
