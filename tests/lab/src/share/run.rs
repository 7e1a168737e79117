// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs `daxlab share`, from the arguments to the exit status.

use std::{convert::Infallible, future::pending, time::Duration};

use anyhow::{Context, Result, bail};
use qemu_guest::vm::{Parts, Vm};
use qemu_guest::{artifacts::Progress, vm::process::tail};

use super::{
    ShareArgs,
    config::{Config, WindowWish},
    disk, dry_run,
    mount::{self, TARGET},
    network, root, session,
    steps::Steps,
};
use crate::{cli::Status, signals::Signals};

/// How long a guest may take to end before the user is told how to end it sooner.
const PATIENCE: Duration = Duration::from_secs(3);
/// The number of the log's lines in a message.
const LOG_LINES: usize = 5;

/// Shares a directory with a guest.
///
/// # Errors
///
/// If the guest can't be started, or is lost. No process is left running then.
pub fn run(args: ShareArgs) -> Result<Status> {
    let config = Config::try_from(args)?;
    // Fetching needs no runtime. A signal simply ends this process meanwhile: the cache holds
    // nothing incomplete, and no guest exists yet.
    let parts = Parts::obtain(&config.wanted, Progress::auto())?;
    // One thread: the kernel ties the children's lives to the thread that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let status = runtime.block_on(share(&config, &parts));
    // A blocked read of the terminal must not delay the end of this process.
    runtime.shutdown_background();
    status
}

async fn share(config: &Config, parts: &Parts) -> Result<Status> {
    let mut signals = Signals::catch().context("can't catch signals")?;
    let steps = Steps::new(config.verbose);
    if config.dry_run {
        let accel = parts.accel(config.spec.accel).await?;
        print!("{}", dry_run::script(config, parts, accel.accel));
        return Ok(Status::Success);
    }
    if let Some(disk) = &config.disk {
        return disk::run(config, disk, parts, &steps).await;
    }
    // The drop of an unfinished future kills and removes all that it has started.
    let mut vm = tokio::select! {
        vm = bring_up(config, parts, &steps) => vm?,
        signal = signals.any() => return Ok(Status::Signalled(signal)),
    };
    steps.clear();
    let outcome = tokio::select! {
        outcome = session::run(&mut vm, config) => outcome,
        signal = signals.ending() => Ok(Status::Signalled(signal)),
    };
    tear_down(vm, &outcome, &steps).await?;
    outcome
}

/// Boots the guest, mounts the share, and checks the window.
async fn bring_up(config: &Config, parts: &Parts, steps: &Steps) -> Result<Vm> {
    steps.begin("choosing how to run the guest's CPUs");
    let chosen = parts.accel(config.spec.accel).await?;
    log::info!("{}: {}", chosen.accel, chosen.why);
    let kernel = &parts.kernel.label;
    let version = parts.qemu.version();
    steps.begin(&format!(
        "booting {kernel} on QEMU {version} under {}",
        chosen.accel
    ));
    let root = config.root.as_ref();
    let mut spec = config.spec.clone().share(config.share.clone());
    spec.shares.extend(config.others.iter().cloned());
    spec.shares.extend(root.map(|root| root.share.clone()));
    let vm = Vm::boot(parts, spec).await?;
    for problem in &vm.agent().boot().problems {
        steps.say(&format!("warning: in the guest: {problem}"));
    }
    if let Some(root) = root {
        steps.begin("mounting the root");
        root.set_up(&vm).await?;
    }
    let base = root.map_or("", |_| root::BASE);
    steps.begin("mounting the share");
    mount::mount(&vm, &config.share, &format!("{base}{TARGET}")).await?;
    for other in &config.others {
        let target = format!("{base}{}", mount::other(other));
        mount::mount(&vm, other, &target).await?;
    }
    check_window(&vm, config.window, steps).await?;
    if config.network {
        steps.begin("setting the network up");
        network::set_up(&vm, base).await?;
    }
    steps.begin("ready");
    Ok(vm)
}

/// Compares the guest's window with the expected one.
async fn check_window(vm: &Vm, wish: WindowWish, steps: &Steps) -> Result<()> {
    let Some(wanted) = wish.size() else {
        return Ok(());
    };
    let missing = match mount::window(vm).await? {
        Some(found) if found == wanted => return Ok(()),
        Some(found) => format!("the guest's DAX window has {found}, not {wanted}"),
        None => "the guest has no DAX window".to_owned(),
    };
    let daemon = vm
        .daemons()
        .first()
        .map(|daemon| tail(daemon.log(), LOG_LINES));
    let told = format!(
        "{missing}; the daemon's log ends with:\n{}\n'daxlab doctor' says what this host lacks",
        daemon.unwrap_or_default()
    );
    match wish {
        WindowWish::Asked(_) => bail!("{told}; leave out --window to go on without one"),
        _ => steps.say(&format!("warning: {told}; going on without it")),
    }
    Ok(())
}

/// Ends the guest: by a power-off after success, at once after a loss or a second signal. Errors
/// are only printed here, because the command's status is already known.
async fn tear_down(vm: Vm, outcome: &Result<Status>, steps: &Steps) -> Result<()> {
    // Signals are caught anew, so that the signal that led here does not count again.
    let mut signals = Signals::catch().context("can't catch signals")?;
    let orderly = async {
        match outcome {
            Ok(_) => vm.power_off().await,
            Err(_) => vm.quit().await,
        }
    };
    tokio::select! {
        ended = orderly => if let (Err(error), Ok(_)) = (ended, outcome) {
            steps.say(&format!("warning: the guest did not end in good order: {error:#}"));
        },
        signal = signals.any() => log::info!("signal {signal}: killing the guest"),
        never = hint(steps) => match never {},
    }
    Ok(())
}

/// After a while, prints how to end a guest that hangs without waiting for it.
async fn hint(steps: &Steps) -> Infallible {
    tokio::time::sleep(PATIENCE).await;
    steps.say("waiting for the guest to power off; Ctrl-C, or another signal, kills it");
    pending().await
}
