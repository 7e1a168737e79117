// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The files that set up a private apt: its configuration and its source.

use std::path::Path;

use crate::artifacts::mirror::Mirror;

/// Whether an index may be older than its publisher wants it to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValidUntil {
    Checked,
    Ignored,
}

/// The line of sources.list for one suite.
pub(super) fn source(
    mirror: &Mirror,
    suite: &str,
    keyring: &Path,
    valid_until: ValidUntil,
) -> String {
    let check = if valid_until == ValidUntil::Ignored {
        " check-valid-until=no"
    } else {
        ""
    };
    format!(
        "deb [arch=amd64 signed-by={}{check}] {} {suite} main\n",
        keyring.display(),
        mirror.0
    )
}

/// The private configuration; `dump` is the machine's.
pub(super) fn configuration(home: &Path, dump: &str) -> String {
    let own_choice = [
        "Acquire::IndexTargets",
        "Acquire::Languages",
        "Acquire::GzipIndexes",
        "Acquire::Changelogs",
    ];
    let inherited = dump.lines().filter(|line| {
        line.starts_with("Acquire::") && !own_choice.iter().any(|choice| line.starts_with(choice))
    });
    let mut text: String = inherited.flat_map(|line| [line, "\n"]).collect();
    let home = home.display();
    for (key, value) in [
        ("Dir::Etc::Main", "none/apt.conf"),
        ("Dir::Etc::Parts", "parts"),
        ("Dir::Etc::SourceList", "sources.list"),
        ("Dir::Etc::SourceParts", "parts"),
        ("Dir::Etc::Preferences", "none/preferences"),
        ("Dir::Etc::PreferencesParts", "parts"),
        ("Dir::State", "state"),
        ("Dir::State::Status", "state/status"),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", "."),
        ("Dir::Cache::Archives", "archives"),
    ] {
        text.push_str(&format!("{key} \"{home}/{value}\";\n"));
    }
    text.push_str(FIXED);
    text
}

/// Settings that no machine's configuration may change. apt would switch to the user _apt, who
/// can't reach a cache below /root.
const FIXED: &str = "\
APT::Architecture \"amd64\";
APT::Architectures { \"amd64\"; };
APT::Install-Recommends \"false\";
APT::Sandbox::User \"root\";
Acquire::Languages \"none\";
Acquire::GzipIndexes \"true\";
Dir::Cache::srcpkgcache \"\";
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_ways_to_reach_mirrors_are_kept_and_its_hooks_are_not() {
        let dump = "Acquire::http::Proxy \"http://proxy:3128\";\nAcquire::Languages \"de\";\n\
                    APT::Update::Post-Invoke:: \"rm -f /var/cache/apt/archives/*.deb\";\n";
        let text = configuration(Path::new("/cache/apt/sid"), dump);
        assert!(text.contains("Acquire::http::Proxy \"http://proxy:3128\";"));
        assert!(!text.contains("\"de\""));
        assert!(!text.contains("Post-Invoke"));
        assert!(text.contains("Dir::State::Lists \"/cache/apt/sid/lists\";"));
    }

    #[test]
    fn a_source_always_names_the_keys() {
        let mirror = Mirror("http://mirror.example/debian".to_owned());
        let line = |valid| source(&mirror, "sid", Path::new("/keys"), valid);
        assert_eq!(
            line(ValidUntil::Checked),
            "deb [arch=amd64 signed-by=/keys] http://mirror.example/debian sid main\n"
        );
        assert!(line(ValidUntil::Ignored).contains("signed-by=/keys check-valid-until=no"));
    }
}
