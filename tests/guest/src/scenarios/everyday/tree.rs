// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Hash and size of every file of a folder, as one side sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use guest_agent::access::{Hash, HashTree, How, hash_tree};
use qemu_guest::vm::Worker;
use qemu_guest::vm::agent::Agent;
use tokio::time::{Instant, sleep};

/// By then a guest has revalidated its caches: with `--cache auto` it trusts names and attributes
/// for a second.
const EQUAL_DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long one look may take in an emulated guest.
const LOOK_TIME_OUT: Duration = Duration::from_secs(600);

/// The hashes, by the path below the folder.
type Tree = BTreeMap<String, Hash>;

/// The tree that a guest sees, read in one way.
async fn of_guest(agent: &Agent, dir: &str, how: How) -> Result<Tree> {
    let mut worker = Worker::start(agent, "reading worker").await?;
    let dir = dir.into();
    Ok(worker
        .ask_within(LOOK_TIME_OUT, HashTree { dir, how })
        .await?)
}

/// Waits until the guest sees what the host sees, by read(2) and by mmap.
pub async fn expect_equal(on_host: &Path, agent: &Agent, in_guest: &str) -> Result<()> {
    let host = hash_tree(on_host, How::Syscall)?;
    if host.is_empty() {
        bail!("{} has no file: nothing was compared", on_host.display());
    }
    for how in [How::Syscall, How::Mmap] {
        let deadline = Instant::now() + EQUAL_DEADLINE;
        loop {
            let guest = of_guest(agent, in_guest, how).await;
            let difference = match &guest {
                Ok(guest) => difference(&host, guest),
                Err(error) => Some(format!("{error:#}")),
            };
            match difference {
                None => break,
                Some(difference) if Instant::now() >= deadline => {
                    bail!("by {how:?}, after {EQUAL_DEADLINE:?}: {difference}")
                }
                // Linux does not announce that it revalidates, so there is no event to wait for.
                Some(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }
    Ok(())
}

/// The first file that differs between both trees.
fn difference(host: &Tree, guest: &Tree) -> Option<String> {
    let mut names = host.keys().chain(guest.keys());
    let name = names.find(|name| host.get(*name) != guest.get(*name))?;
    let seen = |tree: &Tree| match tree.get(name) {
        Some(Hash { value, size }) => format!("{value:016x} of {size} bytes"),
        None => "nothing".to_owned(),
    };
    Some(format!(
        "{name} is {} on the host and {} in the guest",
        seen(host),
        seen(guest)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_and_a_file_of_one_side_are_differences() {
        let tree = |files: &[(&str, u64)]| -> Tree {
            let hash = |(name, value): &(&str, u64)| {
                let (value, size) = (*value, 1);
                ((*name).to_owned(), Hash { value, size })
            };
            files.iter().map(hash).collect()
        };
        let host = tree(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&host, &host.clone()), None);
        for (guest, expected) in [
            (
                tree(&[("a", 1), ("b", 3)]),
                "b is 0000000000000002 of 1 bytes on the host and 0000000000000003 of 1 bytes in the \
                 guest",
            ),
            (
                tree(&[("a", 1)]),
                "b is 0000000000000002 of 1 bytes on the host and nothing in the guest",
            ),
            (
                tree(&[("a", 1), ("b", 2), ("c", 0)]),
                "c is nothing on the host and 0000000000000000 of 1 bytes in the guest",
            ),
        ] {
            assert_eq!(difference(&host, &guest).as_deref(), Some(expected));
        }
    }
}
