// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Parses the arguments, runs a subcommand, and maps its result to the exit status.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use dax_measure::lab::{diff, merge};

use super::Status;
use crate::{
    bench, bisect,
    catalogue::{self, ExplainArgs, ExportArgs, ListArgs},
    doctor, kernel, mutants, qemu, random, series, share, soak, test, top,
};

/// Shares directories with guests through a DAX window, and tests what happens there.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Share(share::ShareArgs),
    Doctor(doctor::DoctorArgs),
    Kernel(kernel::KernelArgs),
    Qemu(qemu::QemuArgs),
    Test(test::TestArgs),
    Mutants(mutants::MutantsArgs),
    Random(random::RandomArgs),
    Bisect(bisect::BisectArgs),
    Series(series::SeriesArgs),
    Bench(bench::BenchArgs),
    Soak(soak::SoakArgs),
    Top(top::TopArgs),
    List(ListArgs),
    Explain(ExplainArgs),
    Export(ExportArgs),
    Diff(diff::DiffArgs),
    Merge(merge::MergeArgs),
}

/// The definition of the command line, for manual pages and completions.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the subcommand that the process's arguments name; `--version` prints `version`.
pub fn main(version: &'static str) -> ExitCode {
    let parsed = definition().version(version).try_get_matches();
    let command = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command,
        Err(error) => return mistaken(&error).into(),
    };
    let filter = env_logger::Env::default().default_filter_or(log_level(&command));
    env_logger::Builder::from_env(filter)
        .format_timestamp_millis()
        .init();
    // Standard output is not locked: threads of `share` write there too.
    dispatch(command, &mut io::stdout()).into()
}

/// Prints the mistake on the command line, or the help. To git bisect 2 would be a bad commit.
fn mistaken(error: &clap::Error) -> Status {
    // A reader that has gone needs no help.
    _ = error.print();
    let bisects = env::args().nth(1).is_some_and(|name| name == "bisect");
    match error.use_stderr() {
        true if bisects => Status::Stop,
        true => Status::Usage,
        false => Status::Success,
    }
}

/// The log level if RUST_LOG is not set.
fn log_level(command: &Command) -> &'static str {
    match command {
        // The soak's faults cause complaints by design, some hundreds a minute.
        Command::Soak(_) => "off",
        _ => "warn",
    }
}

/// Runs a subcommand. An error is printed, and its status is the one that the help documents.
/// Reports go to `out`.
fn dispatch(command: Command, out: &mut dyn Write) -> Status {
    let (name, outcome, on_error) = match command {
        Command::Share(args) => ("share", share::run(args), Status::Failed),
        Command::Doctor(args) => ("doctor", doctor::run(&args), Status::Failed),
        Command::Kernel(args) => ("kernel", kernel::run(args), Status::LabFailed),
        Command::Qemu(args) => ("qemu", qemu::run(&args), Status::LabFailed),
        Command::Test(args) => ("test", test::run(&args, out), Status::LabFailed),
        Command::Mutants(args) => ("mutants", mutants::run(&args, out), Status::LabFailed),
        Command::Random(args) => ("random", random::run(&args, out), Status::LabFailed),
        Command::Bisect(args) => ("bisect", bisect::run(&args), Status::Stop),
        Command::Series(args) => ("series", series::run(&args, out), Status::LabFailed),
        Command::Bench(args) => ("bench", bench::run(&args, out), Status::LabFailed),
        Command::Soak(args) => ("soak", soak::run(&args, out), Status::LabFailed),
        Command::Top(args) => ("top", top::run(&args, out), Status::LabFailed),
        Command::List(args) => ("list", catalogue::list(&args, out), Status::LabFailed),
        Command::Explain(args) => ("explain", catalogue::explain(&args, out), Status::LabFailed),
        Command::Export(args) => ("export", catalogue::export(&args, out), Status::LabFailed),
        Command::Diff(args) => {
            let outcome = diff::run(&args, out).map(Status::from);
            ("diff", outcome, Status::LabFailed)
        }
        Command::Merge(args) => {
            let outcome = merge::run(&args, out).map(Status::from);
            ("merge", outcome, Status::LabFailed)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("daxlab {name}: {error:#}");
        Status::of(&error, on_error)
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use dax_measure::{
        RESULTS, Shard,
        lab::{Outcome, Run, Verdict, fixture, write_all},
    };

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_is_the_commands() {
        let cli = Cli::parse_from(["daxlab", "share", "/srv", "--", "ls", "--cpus", "x"]);
        let Command::Share(args) = cli.command else {
            panic!("not share");
        };
        assert_eq!(args.command, ["ls", "--cpus", "x"]);
    }

    /// The exit status of a command line with these files, each of them the results.json of a
    /// folder.
    fn status(words: &[&str], runs: &[&Run]) -> u8 {
        let folder = tempfile::tempdir().unwrap();
        let mut args: Vec<_> = ["daxlab"].iter().chain(words).map(OsString::from).collect();
        for (number, run) in runs.iter().enumerate() {
            let dir = folder.path().join(number.to_string());
            write_all(run, &dir).unwrap();
            let file = dir.join(RESULTS);
            args.push(if words == ["diff"] { file } else { dir }.into());
        }
        dispatch(Cli::try_parse_from(args).unwrap().command, &mut io::sink()).code()
    }

    #[test]
    fn diff_exits_as_it_says() {
        let run = fixture::small();
        let none = fixture::run(vec![]);
        assert_eq!(status(&["diff"], &[&run, &run]), 0);
        assert_eq!(status(&["diff"], &[&none, &run]), 0);
        assert_eq!(status(&["diff"], &[&run, &none]), 1);
        let other = Run {
            schema: 2,
            ..run.clone()
        };
        assert_eq!(status(&["diff"], &[&run, &other]), 3);
        assert_eq!(status(&["diff", "no/such"], &[&run]), 3);
    }

    #[test]
    fn merge_exits_as_a_run_does() {
        let part = |index, cells| Run {
            shard: Some(Shard { index, of: 2 }),
            ..fixture::run(cells)
        };
        let good = fixture::waited("k", "fuse", "dio-read", "punch");
        let bad = fixture::ended(
            fixture::waited("k", "fuse", "dio-read", "truncate"),
            Outcome::Harmed,
            Verdict::Unexpected,
            "it is so",
        );
        let first = part(0, vec![good.clone()]);
        assert_eq!(status(&["merge"], &[&first, &part(1, vec![])]), 0);
        assert_eq!(status(&["merge"], &[&first, &part(1, vec![bad])]), 1);
        assert_eq!(status(&["merge"], &[&first]), 3, "a shard is missing");
        assert_eq!(status(&["merge"], &[&first, &part(1, vec![good])]), 3);
        assert_eq!(status(&["merge"], &[&fixture::small()]), 3);
        assert_eq!(status(&["merge", "no/such"], &[&first]), 3);
    }

    /// The exit status and the output of a command line that runs no subcommand.
    fn told(words: &[&str]) -> (u8, String) {
        let mut out = Vec::new();
        let cli = Cli::try_parse_from(["daxlab"].iter().chain(words)).unwrap();
        let status = dispatch(cli.command, &mut out).code();
        (status, String::from_utf8(out).unwrap())
    }

    #[test]
    fn cases_are_listed_by_all_that_chooses_them() {
        let words = [
            "list",
            "matrix::*",
            "--fs",
            "ext4,xfs",
            "--pin",
            "vmsplice",
            "--removal",
            "punch",
        ];
        let (status, text) = told(&words);
        assert_eq!(status, 0);
        assert!(text.contains("\n2 cases; "), "{text}");
        let (status, text) = told(&["list", "--format", "json", "--case", "stale-range::*"]);
        assert_eq!(status, 0);
        let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(cases[0]["case"], "stale-range::fuse");
        assert_eq!(cases[0]["contract"], "must-wait");
        assert!(cases[0]["expected"]["stock"].is_array(), "{text}");
    }

    #[test]
    fn cases_are_explained_by_name_and_by_pattern() {
        let (status, one) = told(&["explain", "munmap-hides-pin::xfs"]);
        assert_eq!(status, 0);
        assert!(one.starts_with("munmap-hides-pin::xfs\n"), "{one}");
        let (_, all) = told(&["explain", "munmap-hides-pin::*"]);
        assert!(all.contains(&one) && all.len() > one.len());
    }

    #[test]
    fn a_case_is_exported_or_has_a_reason() {
        let (status, text) = told(&["export", "munmap-hides-pin::fuse"]);
        assert_eq!(status, 0);
        assert!(text.contains("int main("), "{text}");
        let (status, text) = told(&["export", "--list"]);
        assert_eq!(status, 0);
        assert!(text.contains("stale-range::fuse: no program: "), "{text}");
        for case in ["stale-range::fuse", "munmap-hides-pin::*", "no-such-case"] {
            assert_eq!(told(&["export", case]), (2, String::new()), "{case}");
        }
    }

    #[test]
    fn a_selection_without_a_case_is_a_mistake() {
        for words in [
            &["list", "no-such-case"][..],
            &["list", "--fs", "xfs", "--removal", "reclaim-inline"],
            &["explain", "no-such-*"],
            &["test", "--case", "no-such-case"],
        ] {
            assert_eq!(told(words), (2, String::new()), "{words:?}");
        }
    }

    #[test]
    fn all_kernels_need_no_names() {
        for action in ["build", "fetch"] {
            let cli = Cli::try_parse_from(["daxlab", "kernel", action, "--all"]);
            assert!(cli.is_ok(), "{action}");
        }
    }

    #[test]
    fn mistakes_are_told_with_the_usage_status() {
        for (args, told) in [
            (&["share"][..], "<DIR>"),
            (&["share", "/srv", "--cpus", "0"], "1 to 255 CPUs"),
            (&["share", "/srv", "--cpus", "256"], "1 to 255 CPUs"),
            (&["share", "/srv", "--cpus", "two"], "1 to 255 CPUs"),
            (&["share", "/srv", "--memory", "1T"], "512G"),
            (&["share", "/srv", "--memory", "much"], "is no size"),
            (&["share", "/srv", "--memory", "1"], "128M"),
            (&["share", "/srv", "--window", "3M"], "power of two"),
            (&["share", "/srv", "--window", "1M"], "power of two"),
            (&["share", "/srv", "--window", "128G"], "to 64G"),
            (&["share", "/srv", "--window", "0"], "--no-dax"),
            (
                &["share", "/srv", "--window", "16M", "--no-dax"],
                "--no-dax",
            ),
            (&["share", "/srv", "--share", "/usr"], "TAG=DIR"),
            (&["share", "/srv", "--share", "../x=/usr"], "below /mnt"),
            (&["share", "/srv", "--queues", "64"], "1 to 63"),
            (
                &["share", "/srv", "--root", "host", "--dry-run"],
                "--dry-run",
            ),
            (
                &["share", "/srv", "--accel", "xen"],
                "[possible values: auto, kvm, tcg]",
            ),
            (&["share", "/srv", "--kernel", "debian:5.0"], "debian:5.0"),
            (&["share", "/srv", "--tag", ""], "tag"),
            (&["share", "/srv", "ls"], "unexpected argument"),
            (&["list", "--fs", "btrfs"], "fuse, ext4 or xfs"),
            (&["list", "--pin", "x"], "use one of dio-read"),
            (&["list", "--format", "ktap"], "json"),
            (&["explain"], "<CASE>"),
            (&["explain", "["], "CASE"),
            (&["test", "--removal", "x"], "use one of truncate"),
            (&["test", "--shard", "2/2"], "no part"),
            (&["test", "--repeat", "0"], "--repeat"),
            (&["test", "--jobs", "0"], "--jobs"),
            (&["bisect"], "<CASE>"),
            (&["series", "x.mbox"], "--base"),
            (&["series", "x.mbox", "--base", "build:5.0"], "build:7.3"),
            (&["export"], "<CASE>"),
            (&["random", "--steps", "0"], "--steps"),
            (&["random", "--fs", "btrfs"], "fuse, ext4 or xfs"),
            (
                &["random", "--replay", "x.program", "--seed", "2"],
                "cannot be used with",
            ),
            (
                &["bench", "disk"],
                "[possible values: io, map, window, all]",
            ),
            (&["bench", "--queues", "0"], "--queues"),
            (&["bench", "--seconds", "0"], "from 0.001 to 60"),
            (&["bench", "--rounds", "0"], "--rounds"),
            (&["diff"], "<A.json>"),
            (&["diff", "a.json"], "<B.json>"),
            (&["diff", "a.json", "b.json", "c.json"], "unexpected"),
            (&["merge"], "<DIR>"),
            (&["merge", "--out", "o"], "<DIR>"),
        ] {
            let args = ["daxlab"].iter().chain(args).copied();
            let error = Cli::try_parse_from(args.clone()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{args:?}");
            assert!(error.to_string().contains(told), "{args:?}: {error}");
        }
    }
}
