// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads all files of a folder repeatedly while they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use guest_agent::access::{How, ReadTree, hash_tree};
use qemu_guest::vm::Worker;
use qemu_guest::vm::agent::Agent;
use tokio::task::JoinHandle;

/// How long one pass may take in the guest.
const PASS_TIME_OUT: Duration = Duration::from_secs(600);

/// A reader that runs until it is stopped.
pub struct Reader {
    progress: Arc<Progress>,
    ended: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Progress {
    passes: AtomicU32,
    stopped: AtomicBool,
}

impl Progress {
    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.passes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Reader {
    /// Reads in a guest, by read(2) and by mmap.
    pub async fn in_guest(agent: &Agent, dir: &str) -> Result<Self> {
        let progress = Arc::<Progress>::default();
        let mut worker = Worker::start(agent, "reader").await?;
        let (passed, dir) = (Arc::clone(&progress), PathBuf::from(dir));
        let ended = tokio::spawn(async move {
            while passed.goes_on() {
                let dir = dir.clone();
                let read = worker.ask_within(PASS_TIME_OUT, ReadTree { dir }).await?;
                // Where nothing can be read, an act has no reader.
                if read > 0 {
                    passed.count();
                }
            }
            Ok(worker.end().await?)
        });
        Ok(Self { progress, ended })
    }

    /// Reads on the host, only by read(2): this process would not survive a lost page.
    pub fn on_host(dir: &Path) -> Self {
        let progress = Arc::<Progress>::default();
        let (passed, dir) = (Arc::clone(&progress), PathBuf::from(dir));
        let ended = tokio::task::spawn_blocking(move || {
            while passed.goes_on() {
                // A file that has vanished is no failure.
                let _ = hash_tree(&dir, How::Syscall);
                passed.count();
            }
            Ok(())
        });
        Self { progress, ended }
    }

    /// How often the reader has read all files.
    pub fn passes(&self) -> u32 {
        self.progress.passes.load(Ordering::Relaxed)
    }

    /// Whether the reader has ended without being stopped, because its guest is gone.
    pub fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }

    /// Stops the reader after its pass.
    pub async fn stop(&mut self) -> Result<()> {
        self.progress.stopped.store(true, Ordering::Relaxed);
        (&mut self.ended).await?
    }
}

impl Drop for Reader {
    /// Without this, the reader would go on after a failure.
    fn drop(&mut self) {
        self.progress.stopped.store(true, Ordering::Relaxed);
    }
}
