// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The library in programs that map real views, as QEMU does.
//!
//! Each test starts this program again with the library preloaded, to play one of [`plays::ALL`]:
//! standard input is the view, the argument is the file. Needs root and a kernel with FUSE
//! passthrough; elsewhere all tests are reported as ignored. The companion is forked before the
//! first thread; hence no standard test harness.

mod kvm;
mod mapped;
mod places;
mod plays;

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use shared_window::{Access, LostStores, ViewClient, ViewNumber, ViewService, ViewSource};

use crate::places::Place;
use crate::plays::Play;

/// The environment variable that names the play.
const PLAY: &str = "QEMU_GUARD_PLAY";

fn main() -> ExitCode {
    if let Some(name) = env::var_os(PLAY) {
        let file = env::args_os().nth(1).map(PathBuf::from);
        return play(&name.to_string_lossy(), &file.expect("the file's name"));
    }
    let arguments = Arguments::from_args();
    let client = match views() {
        Ok(client) => Arc::new(client),
        Err(reason) => {
            eprintln!("preloaded: all tests are ignored: {reason}");
            let ignored = plays::ALL
                .iter()
                .map(|play| Trial::test(play.name, || Ok(())).with_ignored_flag(true));
            return libtest_mimic::run(&arguments, ignored.collect()).exit_code();
        }
    };
    let library = match build() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("preloaded: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials: Vec<Trial> = plays::ALL
        .iter()
        .map(|play| {
            let (client, library) = (Arc::clone(&client), library.clone());
            Trial::test(play.name, move || lives(&client, play, &library))
        })
        .collect();
    for (play, reports) in [
        (&plays::STORE, 1),
        (&plays::STORE_TWICE, 2),
        (&plays::LOAD, 0),
    ] {
        let (client, library) = (Arc::clone(&client), library.clone());
        let name = format!("{}_told_as_such_before_the_program_goes_on", play.name);
        trials.push(Trial::test(name, move || {
            tells(&client, play, reports, &library)
        }));
    }
    let library_alone = library.clone();
    trials.push(Trial::test("it_says_that_it_is_loaded", move || {
        says_hello(&library_alone)
    }));
    trials.push(Trial::test("without_the_library_it_ends", move || {
        ends_without(&client)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a play in the program that has the library.
fn play(name: &str, file: &Path) -> ExitCode {
    let mut known = plays::ALL
        .iter()
        .chain([&plays::STORE, &plays::STORE_TWICE, &plays::LOAD]);
    let Some(play) = known.find(|play| play.name == name) else {
        return ExitCode::from(2);
    };
    match (play.run)(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn lives(views: &ViewClient, play: &Play, library: &Path) -> Result<(), Failed> {
    let place = play.place.make()?;
    let output = started(open(views, &place)?, play, &place, Some(library))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{text}");
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {text}", output.status).into()),
    }
}

/// The view's server knows of a store when the store is done: the program ends right after it.
fn tells(views: &ViewClient, play: &Play, reports: u64, library: &Path) -> Result<(), Failed> {
    let lost = views.lost_pages().ok_or("these views tell nothing")?;
    let place = play.place.make()?;
    let view = open(views, &place)?;
    let number = ViewNumber::of(view.as_fd()).ok_or("a view has a number")?;
    // Another view had the number before.
    let _before = lost.take(number);
    let output = started(view.try_clone()?, play, &place, Some(library))?;
    let found = lost.take(number);
    // Each says that the whole range was stored to.
    let expected = (reports > 0).then_some(LostStores {
        pages: 512 * reports,
        offset: 0,
    });
    match (output.status.success(), found == expected) {
        (true, true) => Ok(()),
        _ => Err(format!("{}: {found:?}", output.status).into()),
    }
}

/// On request the library reports that it is loaded; otherwise it prints nothing.
fn says_hello(library: &Path) -> Result<(), Failed> {
    let mut program = Command::new("true");
    program.env("LD_PRELOAD", library);
    let silent = program.output()?.stderr;
    let asked = program.env("QEMU_GUARD_HELLO", "1").output()?.stderr;
    match (silent.as_slice(), asked.as_slice()) {
        (b"", b"qemu-guard: loaded\n") => Ok(()),
        said => Err(format!("{said:?}").into()),
    }
}

/// The oracle: the same accesses kill a program without the library.
fn ends_without(views: &ViewClient) -> Result<(), Failed> {
    for name in ["a_truncated_page", "blocked_signals"] {
        let play = plays::ALL.iter().find(|play| play.name == name);
        let play = play.ok_or("no such play")?;
        let place = play.place.make()?;
        let output = started(open(views, &place)?, play, &place, None)?;
        if output.status.signal() != Some(libc::SIGBUS) {
            return Err(format!("{name} ended with {}", output.status).into());
        }
    }
    Ok(())
}

/// A view of the place's file, which is made.
fn open(views: &ViewClient, place: &places::Made) -> Result<OwnedFd, Failed> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(place.file())?;
    Ok(views.open(file.as_fd(), Access::ReadWrite)?)
}

fn started(
    view: OwnedFd,
    play: &Play,
    place: &places::Made,
    preload: Option<&Path>,
) -> Result<Output, Failed> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(place.file()).env(PLAY, play.name);
    command.stdin(Stdio::from(view));
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    Ok(command.output()?)
}

/// Builds the library, which cargo doesn't for a test that can't link it.
fn build() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    // target/PROFILE/deps/test
    let profile = program.ancestors().nth(2).unwrap_or(&program);
    let target = profile.parent().unwrap_or(profile);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--lib", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    match cargo.status()?.success() {
        true => Ok(profile.join("libqemu_guard.so")),
        false => Err(io::Error::other("the library can't be built")),
    }
}

/// A source of views, whose companion ends with it.
fn views() -> Result<ViewClient, String> {
    // SAFETY: a call without arguments.
    if unsafe { libc::geteuid() } != 0 {
        return Err("they need root".into());
    }
    let (client, server) = ViewService::prepare().map_err(|error| error.to_string())?;
    // SAFETY: no other thread exists yet that could hold a lock that the child needs.
    if unsafe { libc::fork() } == 0 {
        drop(client);
        let code = i32::from(server.serve_until_closed().is_err());
        // SAFETY: ends the process without running what belongs to the parent.
        unsafe { libc::_exit(code) }
    }
    drop(server);
    client.wait_ready().map_err(|error| error.to_string())
}
