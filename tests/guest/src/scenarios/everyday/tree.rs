// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every file of a folder by its hash and size, as one side sees it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use guest_probe::access::How;
use guest_probe::file;
use guest_vm::agent::{Agent, ExecRequest};
use tokio::time::{Instant, sleep};

use crate::lab::PROBE;

/// By then a guest has looked again at all that it remembers: `--cache auto` lets it trust names
/// and attributes for a second.
const EQUAL_DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long one look may take in an emulated guest.
const LOOK_TIME_OUT: Duration = Duration::from_secs(600);

/// Hash and size by the path below the folder.
pub type Tree = BTreeMap<String, String>;

/// The host's.
pub fn of_host(dir: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    walk(dir, dir, &mut tree)?;
    Ok(tree)
}

fn walk(top: &Path, dir: &Path, tree: &mut Tree) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            walk(top, &path, tree)?;
        } else if metadata.is_file() {
            let hash = file::hash(&path, How::Syscall)?;
            let name = path.strip_prefix(top)?.display().to_string();
            tree.insert(name, format!("{:016x} {}", hash.value, hash.size));
        }
    }
    Ok(())
}

/// A guest's, read in one way.
async fn of_guest(agent: &Agent, dir: &str, how: &str) -> Result<Tree> {
    let script = format!("find . -type f -print0 | xargs -0 {PROBE} hash --how {how}");
    let request = ExecRequest::new(["sh", "-c", &script]).cwd(dir);
    let output = agent.run_within(LOOK_TIME_OUT, request, &[]).await?;
    if !output.status.success() {
        bail!("{dir} by {how}: {}", output.stderr_text());
    }
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (hash, size) = (words.next()?, words.next()?);
        let name = words.next()?.strip_prefix("./")?;
        Some((name.to_owned(), format!("{hash} {size}")))
    };
    let text = output.stdout_text();
    let tree: Option<Tree> = text.lines().map(line).collect();
    tree.with_context(|| format!("the probe said {text:?}"))
}

/// Waits until the guest sees what the host sees, by read(2) and by mmap.
pub async fn expect_equal(on_host: &Path, agent: &Agent, in_guest: &str) -> Result<()> {
    let host = of_host(on_host)?;
    if host.is_empty() {
        bail!("{} has no file: nothing was compared", on_host.display());
    }
    for how in ["syscall", "mmap"] {
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
                    bail!("by {how}, after {EQUAL_DEADLINE:?}: {difference}")
                }
                // The guest says nothing when it looks again; there is nothing to wait for.
                Some(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }
    Ok(())
}

/// The first file that both don't have in the same way.
fn difference(host: &Tree, guest: &Tree) -> Option<String> {
    let mut names = host.keys().chain(guest.keys());
    let name = names.find(|name| host.get(*name) != guest.get(*name))?;
    let seen = |tree: &Tree| tree.get(name).cloned().unwrap_or("nothing".to_owned());
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
        let tree = |files: &[(&str, &str)]| -> Tree {
            let own = |(name, seen): &(&str, &str)| ((*name).to_owned(), (*seen).to_owned());
            files.iter().map(own).collect()
        };
        let host = tree(&[("a", "1 1"), ("b", "2 2")]);
        assert_eq!(difference(&host, &host.clone()), None);
        for (guest, expected) in [
            (
                tree(&[("a", "1 1"), ("b", "3 2")]),
                "b is 2 2 on the host and 3 2 in the guest",
            ),
            (
                tree(&[("a", "1 1")]),
                "b is 2 2 on the host and nothing in the guest",
            ),
            (
                tree(&[("a", "1 1"), ("b", "2 2"), ("c", "0 0")]),
                "c is nothing on the host and 0 0 in the guest",
            ),
        ] {
            assert_eq!(difference(&host, &guest).as_deref(), Some(expected));
        }
    }
}
