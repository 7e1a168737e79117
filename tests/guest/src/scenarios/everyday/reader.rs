// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads all files of a folder repeatedly while they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use guest_agent::access::{How, hash_tree};
use qemu_guest::vm::GUEST_AGENT;
use qemu_guest::vm::agent::{Agent, ExecRequest, Stdin};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;

/// A pass reads each file in both ways and reports its end. A file that vanishes or loses pages
/// during a pass is no failure. The end of its standard input ends the script.
const PASSES: &str = r#"
exec 2>/dev/null
touch /tmp/reading.$$
(cat >/tmp/ended.$$; rm -f /tmp/reading.$$) <&3 &
while [ -e /tmp/reading.$$ ]; do
    find "$DIR" -type f | while read -r file; do
        for how in mmap syscall; do
            "$GUEST_AGENT" op hash-file "{\"path\": \"$file\", \"how\": \"$how\"}"
        done
    done >/dev/null
    echo pass
done
"#;

/// A reader that runs until it is stopped.
pub struct Reader {
    passes: Arc<AtomicU32>,
    ended: JoinHandle<Result<()>>,
    stop: Stop,
}

enum Stop {
    Flag(Arc<AtomicBool>),
    Input(Option<Stdin>),
}

impl Reader {
    /// Reads in a guest, by read(2) and by mmap.
    pub async fn in_guest(agent: &Agent, dir: &str) -> Result<Self> {
        let script = format!("exec 3<&0\n{PASSES}");
        let request = ExecRequest::new(["sh", "-c", &script])
            .env("DIR", dir)
            .env("GUEST_AGENT", GUEST_AGENT)
            .piped_stdin();
        let mut running = agent.exec(request).await?;
        let stdin = running.stdin.take().context("no input")?;
        let mut lines = BufReader::new(running.stdout.take().context("no output")?).lines();
        let passes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&passes);
        let ended = tokio::spawn(async move {
            while lines.next_line().await?.is_some() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            running.wait().await?;
            Ok(())
        });
        Ok(Self {
            passes,
            ended,
            stop: Stop::Input(Some(stdin)),
        })
    }

    /// Reads on the host, only by read(2): this process would not survive a lost page.
    pub fn on_host(dir: &Path) -> Self {
        let (passes, stop) = (
            Arc::new(AtomicU32::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counted, stopped, dir) = (Arc::clone(&passes), Arc::clone(&stop), PathBuf::from(dir));
        let ended = tokio::task::spawn_blocking(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A file that has vanished is no failure.
                let _ = hash_tree(&dir, How::Syscall);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self {
            passes,
            ended,
            stop: Stop::Flag(stop),
        }
    }

    /// How often the reader has read all files.
    pub fn passes(&self) -> u32 {
        self.passes.load(Ordering::Relaxed)
    }

    /// Whether the reader has ended without being stopped, because its guest is gone.
    pub fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }

    /// Stops the reader.
    pub async fn stop(&mut self) -> Result<()> {
        match &mut self.stop {
            Stop::Flag(flag) => flag.store(true, Ordering::Relaxed),
            Stop::Input(stdin) => {
                if let Some(mut stdin) = stdin.take() {
                    stdin.shutdown().await?;
                }
            }
        }
        (&mut self.ended).await?
    }
}

impl Drop for Reader {
    /// Without this, a thread of this process would go on reading after a failure.
    fn drop(&mut self) {
        if let Stop::Flag(flag) = &self.stop {
            flag.store(true, Ordering::Relaxed);
        }
    }
}
