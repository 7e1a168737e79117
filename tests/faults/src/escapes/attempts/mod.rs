// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The attempts, a file for each kind.

mod files;
mod ids;
mod links;
mod names;
mod races;

use anyhow::Result;

use super::site::Site;

pub use ids::{foreign, never_given};

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
    attempt("magic links of /proc", links::of_proc),
    attempt("a parent that is renamed", races::renamed_parent),
    attempt("a directory that turns into a link", races::turning_link),
    attempt("a node that was never given", ids::unknown_nodes),
    attempt("a node that was forgotten", ids::forgotten_nodes),
    attempt("a handle of another inode", ids::foreign_handles),
    attempt("special files", files::special),
    attempt("directories as files", files::directories),
    attempt("read-only by mount", files::read_only_by_mount),
    attempt("read-only by its opening", files::read_only_by_opening),
];

const fn attempt(name: &'static str, make: fn(&mut Site) -> Result<()>) -> Attempt {
    Attempt { name, make }
}
