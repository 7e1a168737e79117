// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Checks that a kernel's configuration has the requested options.
//!
//! Kconfig silently drops options that are unknown or depend on an option that is off.

/// The options of `asked` that `config` does not have in this form.
pub(super) fn lost<'a>(asked: &'a str, config: &str) -> Vec<&'a str> {
    asked
        .lines()
        .filter(|line| is_option(line))
        .filter(|line| !has(config, line))
        .collect()
}

fn is_option(line: &str) -> bool {
    line.starts_with("CONFIG_") || off(line).is_some()
}

/// A missing option counts as off.
fn has(config: &str, option: &str) -> bool {
    let is_there = config.lines().any(|line| line == option);
    let is_unknown = || {
        off(option).is_some_and(|name| {
            let on = format!("{name}=");
            !config.lines().any(|line| line.starts_with(&on))
        })
    };
    is_there || is_unknown()
}

/// The name in `# CONFIG_NAME is not set`.
fn off(line: &str) -> Option<&str> {
    let name = line.strip_prefix("# ")?.strip_suffix(" is not set")?;
    name.starts_with("CONFIG_").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
CONFIG_FS_DAX=y
CONFIG_FS_DAX_PMD=y
# CONFIG_MODULES is not set
CONFIG_NR_CPUS=64
CONFIG_SLUB_TINY=y
";

    #[test]
    fn what_is_there_is_not_lost() {
        let asked = "# a comment\n\nCONFIG_FS_DAX=y\nCONFIG_NR_CPUS=64\n# CONFIG_MODULES is not set\n# CONFIG_FOO is not set\n";
        assert_eq!(lost(asked, CONFIG), Vec::<&str>::new());
    }

    #[test]
    fn each_option_that_is_missing_or_another_is_named() {
        let asked = "CONFIG_FUSE_DAX=y\nCONFIG_FS=y\nCONFIG_NR_CPUS=6\nCONFIG_FS_DAX=y\n# CONFIG_SLUB_TINY is not set\n";
        assert_eq!(
            lost(asked, CONFIG),
            [
                "CONFIG_FUSE_DAX=y",
                "CONFIG_FS=y",
                "CONFIG_NR_CPUS=6",
                "# CONFIG_SLUB_TINY is not set"
            ]
        );
    }
}
