// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From arguments to a subcommand, and from its outcome to the exit status.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::Status;
use crate::{doctor, kernel, share};

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
}

/// Runs the subcommand that the process's arguments name.
pub fn main() -> ExitCode {
    let filter = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(filter)
        .format_timestamp_millis()
        .init();
    let (name, failed, outcome) = match Cli::parse().command {
        Command::Share(args) => ("share", Status::Failed, share::run(args)),
        Command::Doctor(args) => ("doctor", Status::Failed, doctor::run(&args)),
        Command::Kernel(args) => ("kernel", Status::NoKernel, kernel::run(args)),
    };
    let status = outcome.unwrap_or_else(|error| {
        eprintln!("daxlab {name}: {error:#}");
        failed
    });
    status.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

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
            (&["share", "/srv", "--window", "32G"], "to 16G"),
            (&["share", "/srv", "--window", "0"], "--no-dax"),
            (
                &["share", "/srv", "--window", "16M", "--no-dax"],
                "--no-dax",
            ),
            (
                &["share", "/srv", "--window", "16M", "--read-only"],
                "--read-only",
            ),
            (
                &["share", "/srv", "--accel", "xen"],
                "[possible values: auto, kvm, tcg]",
            ),
            (&["share", "/srv", "--kernel", "debian:5.0"], "debian:5.0"),
            (&["share", "/srv", "--tag", ""], "tag"),
            (&["share", "/srv", "ls"], "unexpected argument"),
            (&["kernel", "build"], "NAME"),
            (&["kernel", "build", "build:6.11"], "build:6.12+nowake"),
            (&["kernel", "build", "debian:6.12"], "build:6.12+nowake"),
            (
                &["kernel", "build", "build:6.12", "--all"],
                "cannot be used with",
            ),
            (&["kernel", "fetch", "build:6.12"], "debian:latest"),
        ] {
            let args = ["daxlab"].iter().chain(args).copied();
            let error = Cli::try_parse_from(args.clone()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{args:?}");
            assert!(error.to_string().contains(told), "{args:?}: {error}");
        }
    }
}
