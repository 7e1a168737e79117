// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The ways to start: as a guest's first process, as its worker, or as one of its programs.

use std::{env, fs::File, io, os::fd::AsFd, process::ExitCode, thread, time::Duration};

use rustix::process::Pid;

use crate::agent::{
    boot::{self, console},
    children::Children,
    serve::{self, Role},
    shutdown::{self, Cause, Ending},
};
use crate::wire::Boot;
use crate::worker;

const USAGE: &str = "guest-agent is the first process of a test guest. To try it elsewhere, give \
    it a socket as its standard input: guest-agent --serve; requests, a line each: guest-agent worker; \
    or one op: guest-agent op NAME FIELDS, in JSON";

/// What the program does by its arguments: as process 1 it runs the guest; with `--serve` it serves
/// one connection on its standard input; with `worker` it answers requests there; with `op` it runs
/// one; with a number it sleeps for so many seconds; else it says how to use it and fails.
pub fn start() -> ExitCode {
    // The kernel hands words of its command line on to its first process; they mean nothing here.
    if rustix::process::getpid() == Pid::INIT {
        run_guest();
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        ["--serve"] => serve_stdin(),
        [worker::ARGUMENT] => {
            worker::serve(io::stdin().lock(), io::stdout().lock()).map_err(Into::into)
        }
        ["op", name, fields] => worker::once(name, fields).map_err(Into::into),
        // Suites of tests copy `sleep` to another name to have a program that runs; busybox's is none
        // then.
        [seconds] if seconds.bytes().all(|byte| byte.is_ascii_digit()) => sleep(seconds),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
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

fn sleep(seconds: &str) -> anyhow::Result<()> {
    thread::sleep(Duration::from_secs(seconds.parse()?));
    Ok(())
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
