// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The two ways to start: as a guest's first process, or as an ordinary one.

use std::{env, fs::File, io, os::fd::AsFd, process::ExitCode};

use rustix::process::Pid;

use crate::agent::{
    boot::{self, console},
    children::Children,
    serve::{self, Role},
    shutdown::{self, Cause, Ending},
};
use crate::wire::Boot;

const USAGE: &str = "guest-agent is the first process of a test guest. To try it elsewhere, give \
    it a socket as its standard input: guest-agent --serve";

/// What the program does by its arguments: as process 1 it runs the guest; with `--serve` it serves
/// one connection on its standard input; else it says so and fails.
pub fn start() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let serve_here = matches!(&*arguments, [only] if only == "--serve");
    // The kernel hands words of its command line on to its first process; they mean nothing here.
    if !serve_here && rustix::process::getpid() == Pid::INIT {
        run_guest();
    }
    if !serve_here {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match serve_stdin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole life of a guest.
fn run_guest() -> ! {
    console::power_off_on_panic();
    let children = Children::start();
    let served =
        boot::boot().and_then(|(port, facts)| serve::serve(port, facts, Role::Init, &children));
    let cause = match served {
        Ok(()) => Cause::HostGone,
        Err(error) => Cause::Fatal(error),
    };
    shutdown::shut_down(Ending::PowerOff, &children, cause)
}

fn serve_stdin() -> anyhow::Result<()> {
    let connection = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let facts = Boot {
        kernel: boot::kernel_release(),
        uptime_ms: boot::uptime_ms(),
        ..Boot::default()
    };
    serve::serve(connection, facts, Role::Process, &Children::start())
}
