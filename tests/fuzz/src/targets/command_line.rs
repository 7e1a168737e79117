// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whole command lines, including `-o`.
//!
//! Checked: the daemon accepts a command line, or refuses it with a sentence that fits on a
//! terminal and with exit code 2 (0 for help and version).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use virtiofs_daxd::cli::{self, Invocation};
use virtiofs_daxd::config::Config;

use super::{Seed, Target};
use crate::oracles;

/// The target.
pub(super) const TARGET: Target = Target {
    name: "command_line",
    run,
    seeds,
    faults: &[],
};

/// Plays an input: arguments, each followed by a zero byte.
fn run(data: &[u8]) {
    let arguments: Vec<_> = data
        .split(|byte| *byte == 0)
        .take(32)
        .map(|argument| OsString::from_vec(argument.to_vec()))
        .collect();
    oracles::judge(|| {
        let line = std::iter::once("virtiofs-daxd".into()).chain(arguments.iter().cloned());
        check(cli::parse(line.collect()));
    });
}

fn check(outcome: Result<Invocation, clap::Error>) -> Option<Box<Config>> {
    match outcome {
        Ok(Invocation::Serve(config)) => {
            assert!(!format!("{config:?}").is_empty());
            Some(config)
        }
        Ok(Invocation::PrintCapabilities) => None,
        Err(error) => {
            let code = error.exit_code();
            assert!(
                code == 2 || (code == 0 && !error.use_stderr()),
                "exit code {code}"
            );
            assert!(!error.to_string().trim().is_empty(), "no sentence");
            None
        }
    }
}

/// The configuration of a command line with these options, if it is valid.
pub(super) fn accepted(options: &[String]) -> Option<Box<Config>> {
    let base = ["virtiofs-daxd", "--socket-path=/s", "--shared-dir=/srv"];
    let line = base.into_iter().map(OsString::from);
    check(cli::parse(
        line.chain(options.iter().map(OsString::from)).collect(),
    ))
}

/// Makes a text that can be an argument.
pub(super) fn argument(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}

const SEEDS: [&[&str]; 8] = [
    &["--socket-path=/s", "--shared-dir=/srv", "--tag", "fs"],
    &[
        "--fd=3",
        "--shared-dir",
        "/srv",
        "--readonly",
        "--cache=always",
        "--writeback",
    ],
    &[
        "--socket=/s",
        "-osource=/srv,cache=none,no_xattr,modcaps=+sys_admin:-chown",
        "-f",
        "-d",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--dax-window=512M",
        "--dax=always",
        "--dax-min-size=4k",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--request-queues=4",
        "--thread-pool-size=8",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--posix-acl",
        "--security-label=auto",
        "--xattrmap=:map::u.:",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--sandbox=none",
        "--seccomp=log",
        "--inode-file-handles=fallback",
    ],
    &[
        "--print-capabilities",
        "--translate-uid=map:0:1:2",
        "--migration-mode=find-paths",
        "--help",
    ],
];

fn seeds() -> Vec<Seed> {
    Seed::of_texts(SEEDS.map(|line| line.join("\0")))
}
