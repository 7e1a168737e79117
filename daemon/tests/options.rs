// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line against virtiofsd 1.14's: every option is there, takes a value or not alike,
//! and the legacy `-o` means what its long form means.

use std::ffi::OsString;
use std::process::Command;

use virtiofs_daxd::cli::{Invocation, parse};
use virtiofs_daxd::config::Config;

/// How an option takes its value.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    /// It is a switch.
    No,
    /// `--option VALUE`.
    Required,
    /// `--option[=VALUE]`.
    Optional,
}
use Value::{No, Optional, Required};

/// The options that `virtiofsd --help` of 1.14.0 lists.
const VIRTIOFSD_1_14: [(&str, Value); 43] = [
    ("--shared-dir", Required),
    ("--tag", Required),
    ("--socket", Required),
    ("--socket-path", Required),
    ("--socket-group", Required),
    ("--fd", Required),
    ("--thread-pool-size", Required),
    ("--xattr", No),
    ("--posix-acl", Optional),
    ("--xattrmap", Required),
    ("--sandbox", Required),
    ("--readonly", No),
    ("--seccomp", Required),
    ("--announce-submounts", No),
    ("--no-announce-submounts", No),
    // virtiofsd's takes its value after an equals sign only, but Kata passes two words.
    ("--inode-file-handles", Required),
    ("--cache", Required),
    ("--allow-mmap", No),
    ("--no-readdirplus", No),
    ("--writeback", No),
    ("--allow-direct-io", No),
    ("--print-capabilities", No),
    ("--modcaps", Required),
    ("--log-level", Required),
    ("--syslog", No),
    ("--rlimit-nofile", Required),
    ("-o", Required),
    ("-d", No),
    ("--no-killpriv-v2", No),
    ("--killpriv-v2", No),
    ("-f", No),
    ("--security-label", Optional),
    ("--uid-map", Required),
    ("--gid-map", Required),
    ("--translate-uid", Required),
    ("--translate-gid", Required),
    ("--preserve-noatime", No),
    ("--migration-mode", Required),
    ("--migration-on-error", Required),
    ("--migration-verify-handles", No),
    ("--migration-confirm-paths", No),
    ("--help", No),
    ("--version", No),
];

/// The options that are ours.
const OURS: [(&str, Value); 11] = [
    ("--dax-window", Required),
    ("--dax", Required),
    ("--dax-min-size", Required),
    ("--host-truncate", Required),
    ("--locks", Required),
    ("--max-regions", Required),
    ("--mem-slots", No),
    ("--request-queues", Required),
    ("--poll", Required),
    ("--metrics", Required),
    ("--metrics-anywhere", No),
];

/// The options that a help text lists, with the way they take a value.
fn listed(help: &str) -> Vec<(String, Value)> {
    help.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-') && !line.starts_with("- "))
        .map(|line| {
            let option = line.split(", ").last().unwrap_or(line);
            let end = option.find([' ', '=', '[']).unwrap_or(option.len());
            let (name, rest) = option.split_at(end);
            let value = match rest.as_bytes() {
                [b'[', ..] => Optional,
                [b' ', b'<', ..] => Required,
                _ => No,
            };
            (name.to_owned(), value)
        })
        .collect()
}

fn daemon() -> Command {
    Command::new(env!("CARGO_BIN_EXE_virtiofs-daxd"))
}

#[test]
fn help_lists_exactly_the_options_of_virtiofsd_and_ours() {
    let output = daemon().arg("--help").output().unwrap();
    assert!(output.status.success());
    let mut ours = listed(&String::from_utf8(output.stdout).unwrap());
    for (name, value) in VIRTIOFSD_1_14.iter().chain(&OURS) {
        let at = ours
            .iter()
            .position(|(listed, _)| listed == name)
            .unwrap_or_else(|| panic!("{name} is missing from --help"));
        assert_eq!(&ours.swap_remove(at).1, value, "how {name} takes a value");
    }
    assert!(ours.is_empty(), "in --help but in no table: {ours:?}");
}

/// Understands a command line that must be right.
fn config(options: &[&str]) -> Box<Config> {
    match understand(options) {
        Ok(Invocation::Serve(config)) => config,
        other => panic!("{options:?}: {other:?}"),
    }
}

fn understand(options: &[&str]) -> Result<Invocation, clap::Error> {
    let command_line = std::iter::once("virtiofs-daxd").chain(options.iter().copied());
    parse(command_line.map(OsString::from).collect())
}

/// The settings of a command line for comparison; that `-o` was used at all is left out.
fn settings(options: &[&str]) -> String {
    let mut config = config(options);
    config.deprecations.clear();
    format!("{config:?}")
}

const BASE: [&str; 4] = ["--socket-path", "/s", "--shared-dir", "/srv"];

#[test]
fn each_legacy_option_means_its_long_form() {
    // Before, item, and the long options that say the same after nothing.
    let table: [(&[&str], &str, &[&str]); 31] = [
        (&[], "xattr", &["--xattr"]),
        (&["--xattr"], "no_xattr", &[]),
        (&["--no-readdirplus"], "readdirplus", &[]),
        (&[], "no_readdirplus", &["--no-readdirplus"]),
        (&[], "writeback", &["--writeback"]),
        (&["--writeback"], "no_writeback", &[]),
        (&[], "allow_direct_io", &["--allow-direct-io"]),
        (&["--allow-direct-io"], "no_allow_direct_io", &[]),
        (&["--no-announce-submounts"], "announce_submounts", &[]),
        (&[], "killpriv_v2", &["--killpriv-v2"]),
        (&["--killpriv-v2"], "no_killpriv_v2", &[]),
        (&[], "posix_acl", &["--posix-acl"]),
        (&["--posix-acl"], "no_posix_acl", &[]),
        (&[], "security_label", &["--security-label=always"]),
        (&["--security-label"], "no_security_label", &[]),
        (&[], "posix_lock", &["--locks=host"]),
        (&[], "flock", &["--locks=host"]),
        (&[], "no_posix_lock", &[]),
        (&[], "no_flock", &[]),
        (&["--cache=never"], "cache=auto", &[]),
        (&[], "cache=always", &["--cache", "always"]),
        (&[], "cache=none", &["--cache=never"]),
        (&[], "cache=metadata", &["--cache=metadata"]),
        (&[], "loglevel=debug", &["--log-level=debug"]),
        (&[], "loglevel=warn", &["--log-level=warn"]),
        (&[], "loglevel=err", &["--log-level=error"]),
        (&[], "sandbox=chroot", &["--sandbox=chroot"]),
        (&["--sandbox=none"], "sandbox=namespace", &[]),
        (&[], "source=/other", &["--shared-dir=/other"]),
        (
            &[],
            "modcaps=-chown:+sys_admin",
            &["--modcaps=-chown:+sys_admin"],
        ),
        (
            &[],
            "xattrmap=:map::user.virtiofs.:",
            &["--xattrmap=:map::user.virtiofs.:"],
        ),
    ];
    for (before, item, long) in table {
        let legacy = [&BASE[..], before, &["-o", item]].concat();
        let plain = [&BASE[..], long].concat();
        assert_eq!(settings(&legacy), settings(&plain), "-o {item}");
        if !before.is_empty() || !long.is_empty() {
            let other = [&BASE[..], before].concat();
            assert_ne!(settings(&legacy), settings(&other), "-o {item} did nothing");
        }
    }
}

#[test]
fn one_legacy_list_can_be_the_whole_command() {
    assert_eq!(
        settings(&[
            "--socket-path=/s",
            "-osource=/srv,cache=none,xattr",
            "-o",
            "sandbox=chroot"
        ]),
        settings(&[&BASE[..], &["--cache=never", "--xattr", "--sandbox=chroot"]].concat()),
    );
}

#[test]
fn settings_imply_what_virtiofsd_says_they_imply() {
    let implied = |options: &[&str]| config(&[&BASE[..], options].concat()).share.passthrough;
    for option in [
        "--posix-acl",
        "--security-label=auto",
        "--xattrmap=:map::u.:",
    ] {
        assert!(implied(&[option]).xattr, "{option} implies --xattr");
    }
    assert!(implied(&[]).readdirplus);
    assert!(!implied(&["--cache=never"]).readdirplus);
    assert!(implied(&[]).announce_submounts);
    assert!(implied(&[]).clean_noatime);
    assert!(!implied(&["--preserve-noatime"]).clean_noatime);
    for (cache, seconds) in [
        ("never", 0),
        ("auto", 1),
        ("metadata", 86400),
        ("Always", 86400),
    ] {
        let implied = implied(&["--cache", cache]);
        assert_eq!(implied.attr_timeout.as_secs(), seconds, "{cache}");
        assert_eq!(implied.entry_timeout.as_secs(), seconds, "{cache}");
    }
}

#[test]
fn a_wrong_command_line_gets_one_sentence_and_exit_code_2() {
    // What is added to the base, and what the sentence must say.
    let table: [(&[&str], &str); 24] = [
        (&["--dax-window=300M"], "power of two"),
        (&["--dax-window=1M"], "from 2M to 64G"),
        (&["--dax-window=wide"], "expected a size"),
        (&["--dax=sometimes"], "always, inode, never"),
        (&["--host-truncate=wait"], "allow, refuse"),
        (&["--locks=everywhere"], "guest, host"),
        (&["--dax-min-size=-1"], "--dax-min-size"),
        (&["--request-queues=0"], "from 1 to 63"),
        (&["--tag="], "at least one byte"),
        (
            &["--tag", "0123456789012345678901234567890123456"],
            "at most 36 bytes",
        ),
        (&["--cache=bogus"], "auto, always, never, metadata"),
        (&["--sandbox=bogus"], "namespace, chroot, none"),
        (&["--seccomp=bogus"], "none, kill, log, trap"),
        (&["--modcaps=chown"], "'+chown'"),
        (&["--modcaps=+bogus"], "BOGUS"),
        (&["--xattrmap=bogus"], "--xattrmap"),
        (&["--uid-map=1:2"], "--uid-map"),
        (&["--translate-uid=bogus:1:2:3"], "--translate-uid"),
        (&["--fd=3"], "cannot be used with"),
        (&["-o", "bogus"], "-o bogus"),
        (&["-o", "cache=never"], "auto, always, none, metadata"),
        (
            &[
                "--migration-mode=file-handles",
                "--migration-verify-handles",
            ],
            "--migration-verify-handles works with",
        ),
        (
            &["--posix-acl", "--translate-gid=map:0:1000:1"],
            "--translate-gid can't be combined with --posix-acl=always",
        ),
        (&["surplus"], "surplus"),
    ];
    for (options, sentence) in table {
        let error = understand(&[&BASE[..], options].concat()).expect_err(sentence);
        assert_eq!(error.exit_code(), 2, "{options:?}");
        let text = error.to_string();
        assert!(text.starts_with("error: "), "{options:?}: {text}");
        assert!(text.contains(sentence), "{options:?}: {text}");
    }
    for (options, sentence) in [
        (&["--shared-dir=/srv"][..], "--socket-path <PATH>"),
        (&["--socket-path=/s"], "--shared-dir <DIR>"),
        (&["--socket-path=/s", "-o", "xattr"], "--shared-dir DIR"),
        (
            &["--fd=3", "--shared-dir=/srv", "--socket-group=kvm"],
            "--socket-group",
        ),
    ] {
        let text = understand(options).expect_err(sentence).to_string();
        assert!(text.contains(sentence), "{options:?}: {text}");
    }
}

#[test]
fn the_process_reports_usage_errors_by_exit_code_2() {
    let output = daemon().args(["--cache=bogus"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(!output.stderr.is_empty());
}

#[test]
fn deprecated_spellings_are_named() {
    let options = [
        "--socket=/s",
        "-f",
        "-d",
        "-osource=/srv",
        "--inode-file-handles=fallback",
    ];
    assert_eq!(config(&options).deprecations.len(), 5);
    assert!(config(&BASE).deprecations.is_empty());
}

#[test]
fn capabilities_are_printed_as_json() {
    let output = daemon().arg("--print-capabilities").output().unwrap();
    assert!(output.status.success());
    let words: String = String::from_utf8(output.stdout)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        words,
        r#"{"type":"fs","features":["migrate-precopy","posix-acl-negotiation-mode","security-label-negotiation-mode","separate-options"]}"#
    );
}

/// The discovery file is installed as /usr/share/qemu/vhost-user/60-virtiofs-daxd.json; libvirt
/// reads it there and starts its `binary`. It sorts behind virtiofsd's, which libvirt thus prefers.
#[test]
fn the_discovery_file_says_what_the_daemon_says() {
    let file = include_str!("../dist/60-virtiofs-daxd.json");
    let words: String = file.split_whitespace().collect();
    let output = daemon().arg("--print-capabilities").output().unwrap();
    let printed: String = String::from_utf8(output.stdout)
        .unwrap()
        .split_whitespace()
        .collect();
    let features = |text: &str| text.split_once("\"features\":").unwrap().1.to_owned();
    assert_eq!(features(&words), features(&printed));
    assert!(words.contains("\"type\":\"fs\""));
}
