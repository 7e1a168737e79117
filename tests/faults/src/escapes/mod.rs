// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Escapes: requests that Linux never sends, and that try to reach files outside the share.
//!
//! ```text
//! fixture: BASE/secret, BASE/outside     attempt ─▶ site (daemon, VM, client) ─▶ steps
//!          BASE/share ── what is shared            after it: is BASE as it was?
//! ```
//!
//! Each attempt is made on a new daemon: on this project's, and on virtiofsd. A table compares the
//! answers. `site.rs` defines escapes and wrong answers.

mod attempts;
mod fixture;
mod shown;
mod site;
mod table;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemu_guest::artifacts::{Cache, Progress, virtiofsd};

use crate::fault::{Fault, Setting};

use attempts::ATTEMPTS;
use site::Site;
use table::{Step, Table};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::long("escapes::none_from_a_namespace", |setting| {
        none(setting, "namespace")
    }),
    Fault::long("escapes::none_from_a_chroot", |setting| {
        none(setting, "chroot")
    }),
    Fault::long("escapes::none_without_a_sandbox", |setting| {
        none(setting, "none")
    }),
    Fault::long("escapes::a_way_out_is_noticed", shown::a_way_out),
    Fault::long("escapes::what_is_served_is_noticed", shown::what_is_served),
];

/// This project's options that virtiofsd does not have.
pub const WINDOW: [&str; 2] = ["--dax-window=64M", "--dax=always"];

fn none(setting: &Setting, sandbox: &str) -> Result<()> {
    let peer = virtiofsd::obtain(&Cache::open(Progress::auto())?);
    let peer = peer.context("no virtiofsd to compare with")?.path;
    let common = vec![format!("--sandbox={sandbox}")];
    let mut own = common.clone();
    own.extend(WINDOW.map(str::to_owned));
    let mut table = Table::default();
    for attempt in ATTEMPTS {
        let made = |program: &Path, arguments: &[String]| -> Result<Vec<Step>> {
            let mut site = Site::new(program, arguments)?;
            let made = (attempt.make)(&mut site);
            let log = site.daemon.log();
            made.with_context(|| format!("{}; the daemon's log:\n{log}", attempt.name))?;
            Ok(site.finish())
        };
        let theirs = made(&peer, &common).unwrap_or_else(|error| vec![lost(&error)]);
        table.add(attempt.name, made(&setting.daemon, &own)?, theirs);
    }
    eprintln!("\n--sandbox={sandbox}, {} steps\n{table}", table.judged());
    let wrong = table.wrong();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The step of an attempt that failed on the peer before its end.
fn lost(error: &anyhow::Error) -> Step {
    Step {
        what: "the attempt".to_owned(),
        answer: "lost".to_owned(),
        wrong: Some(format!("{error:#}")),
    }
}
