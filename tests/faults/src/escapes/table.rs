// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps of an attempt, and the answers of two daemons side by side.

use std::fmt;

use virtiofs_driver::FuseError;

/// One request, or many of a kind.
#[derive(Debug, Clone)]
pub struct Step {
    /// The request.
    pub what: String,
    /// The answer, in short.
    pub answer: String,
    /// The reason why the answer is wrong, if it is.
    pub wrong: Option<String>,
}

/// What the daemon answered.
pub fn answer<T>(result: &Result<T, FuseError>) -> String {
    match result {
        Ok(_) => "served".to_owned(),
        Err(error) => match error.errno() {
            Some(errno) => name(errno),
            None => error.to_string(),
        },
    }
}

/// The name of an errno, for common ones.
fn name(errno: i32) -> String {
    let name = match errno {
        libc::EACCES => "EACCES",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENXIO => "ENXIO",
        libc::EPERM => "EPERM",
        libc::EROFS => "EROFS",
        libc::ESTALE => "ESTALE",
        libc::EXDEV => "EXDEV",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}

/// The results of all attempts.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    attempt: &'static str,
    what: String,
    ours: Option<Step>,
    theirs: Option<Step>,
}

impl Table {
    /// Adds an attempt. A step that only one daemon has reached gets a gap for the other daemon.
    pub fn add(&mut self, attempt: &'static str, ours: Vec<Step>, mut theirs: Vec<Step>) {
        for step in ours {
            let same = theirs.iter().position(|other| other.what == step.what);
            let theirs = same.map(|index| theirs.remove(index));
            let what = step.what.clone();
            self.rows.push(Row {
                attempt,
                what,
                ours: Some(step),
                theirs,
            });
        }
        for step in theirs {
            let what = step.what.clone();
            self.rows.push(Row {
                attempt,
                what,
                ours: None,
                theirs: Some(step),
            });
        }
    }

    /// The wrong answers of this project's daemon.
    pub fn wrong(&self) -> Vec<String> {
        let ours = self.rows.iter().filter_map(|row| {
            let wrong = row.ours.as_ref()?.wrong.as_ref()?;
            Some(format!("{}: {}: {wrong}", row.attempt, row.what))
        });
        ours.collect()
    }

    /// How many steps were judged.
    pub fn judged(&self) -> usize {
        self.rows.iter().filter(|row| row.ours.is_some()).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:60} {:14} virtiofsd", "", "virtiofs-daxd")?;
        let mut attempt = "";
        for row in &self.rows {
            if row.attempt != attempt {
                attempt = row.attempt;
                writeln!(f, "{attempt}")?;
            }
            let (ours, theirs) = (cell(row.ours.as_ref()), cell(row.theirs.as_ref()));
            writeln!(f, "  {:58} {ours:14} {theirs}", row.what)?;
        }
        Ok(())
    }
}

/// An answer, with a mark if it is wrong.
fn cell(step: Option<&Step>) -> String {
    match step {
        None => ".".to_owned(),
        Some(step) if step.wrong.is_some() => format!("{} !", step.answer),
        Some(step) => step.answer.clone(),
    }
}
