// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `dist-docs DIR`: writes the manual pages and shell completions of the commands that it was built
//! for to `DIR`, from the definitions that parse their command lines.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process::ExitCode};

use clap::Command;
use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> ExitCode {
    let Some(dir) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("dist-docs: name the directory to write to");
        return ExitCode::from(2);
    };
    let commands = [
        #[cfg(feature = "daemon")]
        <virtiofs_daxd::cli::args::Args as clap::CommandFactory>::command(),
        #[cfg(feature = "lab")]
        daxlab::cli::definition(),
    ];
    for command in commands {
        if let Err(error) = write(command, &dir) {
            eprintln!("dist-docs: can't write to {}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Writes a page for the command and for each of its subcommands, and a file for each shell.
fn write(mut command: Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // Before the completions, which give the command its subcommand `help`: that needs no page.
    clap_mangen::generate_to(without_help(command.clone()), dir)?;
    let name = command.get_name().to_owned();
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, &name, dir)?;
    }
    Ok(())
}

fn without_help(command: Command) -> Command {
    let command = command.disable_help_subcommand(true);
    command.mut_subcommands(without_help)
}
