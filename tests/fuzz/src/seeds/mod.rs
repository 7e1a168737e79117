// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The inputs that fuzzing starts from.
//!
//! Linux's requests are recorded, not written by hand: `session` connects the daemon's request path
//! with the kernel's own FUSE client, and keeps every request. The parts without such a client (the
//! window, virtqueues, vhost-user, the command line) are made from the operations that an input
//! consists of.

mod kernel;
mod queues;
mod session;
mod sessions;
mod texts;
mod windows;

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::Mode;

use crate::input::{Encode, encode};

/// A seed: its target, its name, and its bytes.
pub struct Seed {
    target: &'static str,
    name: String,
    bytes: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, input: &impl Encode) -> Self {
        Self {
            target,
            name: name.into(),
            bytes: encode(input),
        }
    }
}

/// Makes all seeds, and writes each to `corpus/TARGET/seed-NAME`.
///
/// # Errors
/// If a file can't be written.
/// When a file can't be written.
pub fn write(corpus: &Path) -> io::Result<()> {
    let made = session::seeds()
        .into_iter()
        .chain(queues::seeds())
        .chain(windows::seeds())
        .chain(sessions::seeds())
        .chain(texts::seeds());
    // The kernel's sessions have left the daemon's umask set.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    for seed in made {
        let dir = corpus.join(seed.target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(format!("seed-{}", seed.name)), &seed.bytes)?;
    }
    Ok(())
}
