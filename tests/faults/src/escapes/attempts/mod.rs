// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The attempts, a file for each kind.

mod handles;
mod links;
mod magic;
mod names;
mod nodes;
mod races;
mod rights;
mod special;

use anyhow::Result;

use super::site::Site;

pub use handles::foreign;
pub use nodes::never_given;

/// One way to attempt an escape.
pub struct Attempt {
    /// Its short name.
    pub name: &'static str,
    /// Makes the attempt.
    pub make: fn(&mut Site) -> Result<()>,
}

/// All attempts.
pub const ATTEMPTS: &[Attempt] = &[
    attempt("`..`", names::dot_dot),
    attempt("slashes in a name", names::slashes),
    attempt("names to be made elsewhere", names::made_elsewhere),
    attempt("symlinks", links::symlinks),
    attempt("magic links of /proc", magic::links),
    attempt("a parent that is renamed", races::renamed_parent),
    attempt("a directory that turns into a link", races::turning_link),
    attempt("a node that was never given", nodes::unknown),
    attempt("a node that was forgotten", nodes::forgotten),
    attempt("a handle of another inode", handles::of_another),
    attempt("special files", special::files),
    attempt("directories as files", special::directories),
    attempt("read-only by mount", rights::by_mount),
    attempt("read-only by its opening", rights::by_opening),
];

const fn attempt(name: &'static str, make: fn(&mut Site) -> Result<()>) -> Attempt {
    Attempt { name, make }
}
