// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Finds owners that would wait for each other for ever.
//!
//! The host's kernel looks for no deadlock among OFD locks, since no process owns them. POSIX says
//! that fcntl(F_SETLKW) fails with EDEADLK instead, so the guest's own owners are looked at here.
//! Owners on the host, and in other guests, are unknown.
//!
//! A circle comes to be when its last owner begins to wait: an owner that is granted a lock does not
//! wait any more. So one look at the beginning of each wait is enough.
//!
//! As in Linux, an owner whose threads wait for several locks counts as waiting for all of them.

use std::collections::HashSet;

use super::range::{Kind, Range};
use crate::fs::NodeId;

/// An owner of byte range locks in the guest: a process, or a file description (OFD locks). FUSE
/// does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner(pub(crate) u64);

/// A lock that an owner waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) node: NodeId,
    pub(super) owner: Owner,
    pub(super) range: Range,
    pub(super) kind: Kind,
}

/// Whether `claim` would wait for its own owner. `waits` are all claims that wait already, and
/// `holders` are the other owners that hold what a claim waits for.
pub(super) fn would_deadlock<H>(
    claim: &Claim,
    waits: &[Claim],
    mut holders: impl FnMut(&Claim) -> H,
) -> bool
where
    H: IntoIterator<Item = Owner>,
{
    let mut seen = HashSet::new();
    let mut next: Vec<_> = holders(claim).into_iter().collect();
    while let Some(owner) = next.pop() {
        if owner == claim.owner {
            return true;
        }
        if seen.insert(owner) {
            let theirs = waits.iter().filter(|wait| wait.owner == owner);
            next.extend(theirs.flat_map(&mut holders));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{Claim, Owner, would_deadlock};
    use crate::fs::NodeId;
    use crate::locks::range::{Kind, Range};

    /// Owner `owner` wants file `node`, as a whole.
    fn claim(owner: u64, node: u64) -> Claim {
        Claim {
            node: NodeId(node),
            owner: Owner(owner),
            range: Range::FILE,
            kind: Kind::Write,
        }
    }

    /// Each file is held by the owner of its number, file 0 by a process of the host.
    fn holders(claim: &Claim) -> Option<Owner> {
        Some(Owner(claim.node.0)).filter(|owner| owner.0 != 0 && *owner != claim.owner)
    }

    #[test]
    fn a_circle_of_any_length_is_found() {
        for len in 2..20 {
            let waits: Vec<_> = (2..=len).map(|at| claim(at, at % len + 1)).collect();
            assert!(would_deadlock(&claim(1, 2), &waits, holders), "{len}");
            for missing in 0..waits.len() {
                let mut waits = waits.clone();
                waits.remove(missing);
                assert!(!would_deadlock(&claim(1, 2), &waits, holders), "{len}");
            }
        }
    }

    #[test]
    fn waiting_is_no_deadlock() {
        assert!(!would_deadlock(&claim(1, 0), &[claim(2, 0)], holders));
        assert!(!would_deadlock(&claim(1, 2), &[claim(3, 1)], holders));
        // A circle of others, which this claim only waits for.
        let circle = [claim(2, 3), claim(3, 2)];
        assert!(!would_deadlock(&claim(1, 2), &circle, holders));
    }
}
