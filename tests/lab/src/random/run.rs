// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use dax_cases::host::RigParts;
use dax_measure::lab::{Format, write_all};
use dax_measure::{Colour, put};
use dax_random::{Program, sound};
use qemu_guest::artifacts::Progress;

use super::RandomArgs;
use super::guest::Guest;
use super::hunt::Hunt;
use super::investigate::seen;
use super::report;
use crate::cli::{Status, UsageError};
use crate::signals::Signals;
use crate::test::{describe_host, mounts_of_our_own};

/// Plays programs, or one program again.
///
/// # Errors
///
/// If the lab can't start, or fails.
pub fn run(args: &RandomArgs, out: &mut dyn Write) -> Result<Status> {
    if args.modules.is_some() && !args.kernel.is_own() {
        return Err(UsageError::Modules.into());
    }
    let replay = args.replay.as_deref().map(read).transpose()?;
    fs::create_dir_all(&args.out).with_context(|| format!("can't use {}", args.out.display()))?;
    // Called before there is a second thread, which would stay in the old namespace.
    mounts_of_our_own()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let (modules, accel) = (args.modules.as_deref(), args.accel.into());
        let qemu = args.qemu.spec();
        let parts = RigParts::obtain(&args.kernel, modules, accel, &qemu, Progress::auto())?;
        match replay {
            Some(program) => play_again(args, &parts, &program, out).await,
            None => hunt(args, &parts, out).await,
        }
    })
}

fn read(path: &Path) -> Result<Program> {
    let text =
        fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let program: Program = text.parse()?;
    ensure!(
        !program.files.is_empty(),
        "the program has no file: add a line like `file a 1`"
    );
    let possible = sound(&program);
    let mut steps = program.steps.iter().enumerate();
    if let Some((_, step)) = steps.find(|(at, step)| possible.steps.get(*at) != Some(*step)) {
        bail!("the step `{step}` is not possible where it stands");
    }
    Ok(program)
}

async fn hunt(args: &RandomArgs, parts: &RigParts, out: &mut dyn Write) -> Result<Status> {
    let mut signals = Signals::catch().context("can't catch signals")?;
    let mut hunt = Hunt::new(args);
    let mut guest = Guest::new(parts);
    let ended = tokio::select! {
        ended = hunt.run(&mut guest) => Ok(ended),
        signal = signals.any() => Err(signal),
    };
    let accel = parts.parts().accel(args.accel.into()).await?;
    let qemu = parts.parts().qemu.version().to_string();
    let host = describe_host(accel.accel.to_string().to_lowercase(), qemu);
    let run = report::run(args, parts.release(), host, &hunt);
    write_all(&run, &args.out)?;
    match args.format {
        Format::Pretty => put(&report::table(&hunt), out)?,
        format => format.print(&run, Colour::for_stdout(), out)?,
    }
    match ended {
        Err(signal) => Ok(Status::Signalled(signal)),
        Ok(ended) => {
            ended?;
            guest.end().await?;
            Ok(run.conclusion().into())
        }
    }
}

/// Plays a program some times, and prints what was done and seen.
async fn play_again(
    args: &RandomArgs,
    parts: &RigParts,
    program: &Program,
    out: &mut dyn Write,
) -> Result<Status> {
    let mut guest = Guest::new(parts);
    let mut status = Status::Success;
    for number in 1..=args.times {
        let played = guest.play(program).await?;
        put(&format!("play {number}\n"), out)?;
        for step in &played.steps {
            put(&format!("  {step}\n"), out)?;
        }
        let mut found: Vec<String> = seen(&played).map(|(signature, _)| signature).collect();
        if found.is_empty() {
            found.push("as the model says".to_owned());
        } else {
            status = Status::Unexpected;
        }
        put(&format!("  {}\n", found.join("; ")), out)?;
    }
    guest.end().await?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RandomArgs,
    }

    #[test]
    fn modules_need_a_kernel_that_is_given_by_its_path() {
        let line = Line::parse_from(["random", "--modules", "/lib/modules/x"]);
        let error = run(&line.args, &mut Vec::new()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(UsageError::Modules)));
    }
}
