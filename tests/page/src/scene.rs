// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A window as a working guest leaves it, for a picture of the page.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::page::ScreenshotParams;
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::browser::Shown;
use crate::ground::Ground;

/// How long the guest works before the picture is taken: slightly longer than the plots show.
const LASTS: Duration = Duration::from_secs(62);
/// Between two steps of the guest.
const PAUSE: Duration = Duration::from_millis(20);
/// Ranges of the window.
const WINDOW: u64 = 128;

/// The guest's files, with their ranges.
const FILES: [(&str, u64); 7] = [
    ("vm/images/root.qcow2", 64),
    ("db/base/16384/2619", 24),
    ("models/embeddings.bin", 40),
    ("src/.git/objects/pack/pack-9f2c.pack", 12),
    ("build/target/app.rlib", 6),
    ("logs/journal.bin", 4),
    ("data/table-0017.parquet", 30),
];

/// Takes the picture.
pub async fn picture(file: &Path) -> Result<()> {
    let mut guest = Guest::start()?;
    let shown = Shown::open(&guest.ground.origin()?).await?;
    let until = Instant::now() + LASTS;
    while Instant::now() < until {
        guest.step()?;
        tokio::time::sleep(PAUSE).await;
    }
    shown.value("document.querySelectorAll('#grid .cell')[21].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))").await?;
    shown.expect_no_trouble()?;
    let parameters = ScreenshotParams::builder()
        .format(CaptureScreenshotFormat::Png)
        .full_page(true)
        .build();
    let bytes = shown.page.screenshot(parameters).await?;
    std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
    shown.close().await
}

/// A guest that walks through its files, like a guest with a page cache of ranges.
struct Guest {
    ground: Ground,
    files: Vec<(NodeId, u64)>,
    /// The file and the range at each range of the window.
    window: Vec<Option<(usize, u64)>>,
    steps: u64,
    log: (NodeId, Handle),
}

impl Guest {
    fn start() -> Result<Self> {
        let mut ground = Ground::start("256M")?;
        let files = FILES
            .iter()
            .map(|(name, ranges)| Ok((ground.file(name, *ranges)?, *ranges)))
            .collect::<Result<Vec<_>>>()?;
        let log = files[5].0;
        let open = ground.client.open(log, libc_rdwr())?;
        Ok(Self {
            ground,
            files,
            window: vec![None; WINDOW as usize],
            steps: 0,
            log: (log, Handle(open.fh)),
        })
    }

    /// Pseudo-random numbers that are the same in each run.
    fn draw(&mut self, below: u64) -> u64 {
        self.steps = self
            .steps
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.steps >> 33) % below
    }

    fn step(&mut self) -> Result<()> {
        let (log, handle) = self.log;
        for _ in 0..self.draw(6) {
            self.ground.client.getattr(log, None)?;
        }
        self.ground
            .client
            .write_slice(log, handle, FileOffset(0), &[7; 3000])?;
        let number = self.draw(FILES.len() as u64) as usize;
        let (node, ranges) = self.files[number];
        let range = self.draw(ranges);
        if self.window.contains(&Some((number, range))) {
            return Ok(());
        }
        let taken = self.window.iter().flatten().count() as u64;
        let at = self.draw(WINDOW);
        if let Some((old, _)) = self.window[at as usize] {
            self.ground.unmap(self.files[old].0, at)?;
            self.window[at as usize] = None;
            if taken > WINDOW * 4 / 5 {
                return Ok(());
            }
        }
        let writes = matches!(number, 1 | 5) || self.draw(9) == 0;
        self.ground.map(node, range, at, writes)?;
        self.window[at as usize] = Some((number, range));
        Ok(())
    }
}

fn libc_rdwr() -> i32 {
    rustix::fs::OFlags::RDWR.bits().cast_signed()
}
