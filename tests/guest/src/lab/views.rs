// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which views of files QEMU has mapped, as the host's kernel tells.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::Lab;

/// How long QEMU may keep a mapping that the guest has no more: it unmaps memory in a thread that
/// waits until nobody can be using it (RCU).
const UNMAPPED_DEADLINE: Duration = Duration::from_secs(60);
/// The kernel announces changes of a memory map to nobody, so it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Lab<'_> {
    /// How many views QEMU has mapped.
    pub fn mapped_views(&self) -> Result<usize> {
        let pid = self.vm().guest().pid();
        let maps = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("maps"))?;
        Ok(maps.lines().filter(|line| is_view(line)).count())
    }

    /// Waits until QEMU has no view mapped.
    pub async fn expect_no_views(&self) -> Result<()> {
        let deadline = Instant::now() + UNMAPPED_DEADLINE;
        loop {
            let left = self.mapped_views()?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("QEMU has had {left} views mapped for {UNMAPPED_DEADLINE:?}");
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Views are the only files of QEMU that are on a file system mounted nowhere: their paths begin
/// at its root, `/` and a number.
fn is_view(line: &str) -> bool {
    let path = line.split_whitespace().nth(5).unwrap_or_default();
    path.strip_prefix('/')
        .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::is_view;

    #[test]
    fn only_numbers_at_a_root_are_views() {
        let line = |path: &str| format!("7f00-7f20 rw-s 00000000 00:4a 17      {path}");
        assert!(is_view(&line("/17")));
        for other in ["", "/", "/lib/x.so", "/17/x", "/x17", "[heap]"] {
            assert!(!is_view(&line(other)), "{other}");
        }
    }
}
