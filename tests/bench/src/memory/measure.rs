// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the benchmark: one side after another, with more and more guests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guest_agent::workload::{Access, Files, Finish, Pattern, Prepare, Run, Temperature, Work};
use qemu_guest::accel::AccelChoice;
use qemu_guest::vm::machine::ByteSize;
use tokio::time::{Instant, sleep};
use virtiofs_driver::daemon::Usage;

use super::{Account, Point, Series, drop_cached};
use crate::guests::{KernelParts, Watch};
use crate::reclaim::{Fixture, Metrics, Side, SystemUnderTest};

/// How long a guest may take to read, under emulation and on a busy host.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long the daemon may take to report a mapping.
const TOLD_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The tolerance of the account. A guest begins with pages that it used and freed during its boot,
/// and that the host has already provided. So it may seem to take less for its page cache than the
/// file's size. A guest that caches nothing may take this much.
const SLACK: u64 = 48 << 20;

/// The settings of a run.
pub struct Plan<'a> {
    /// The sides.
    pub sides: Vec<Side>,
    /// The guests read by read(2) or through a mapping. Each way has guests of its own.
    pub accesses: Vec<Access>,
    /// The numbers of guests at which the memory is measured, ascending.
    pub guests: Vec<usize>,
    /// Size of the file.
    pub file: ByteSize,
    /// Memory of each guest.
    pub memory: ByteSize,
    /// A folder on a disk.
    pub place: &'a Path,
    /// QEMU and kernel.
    pub kernel: &'a KernelParts,
    /// The peer.
    pub virtiofsd: &'a Path,
    /// What runs the guests' processors.
    pub accel: AccelChoice,
}

/// Measures all sides. `None` if it was stopped.
///
/// # Errors
///
/// If a guest can't be started or reads wrong bytes, or the account is implausible: a side with a
/// window that cached the file, or a side without one that didn't.
pub async fn measure(plan: &Plan<'_>, watch: &Watch<'_>) -> Result<Option<Vec<Series>>> {
    let files = Files {
        size: plan.file.bytes(),
        working: plan.file.bytes(),
    };
    let fixture = Fixture::make(plan.place, files.working, 0)?;
    fixture.files(files)?;
    let image = fixture.make_image_of_share()?.image;
    let mut all = Vec::new();
    for &access in &plan.accesses {
        for &side in &plan.sides {
            let file = match side {
                Side::Image => image.clone(),
                _ => fixture.share().join(files.path(0)),
            };
            drop_cached(&file)?;
            let one = Field {
                plan,
                fixture: &fixture,
                side,
                work: work(access, files),
                file,
                running: Vec::new(),
            };
            let Some(series) = one.grow(watch).await? else {
                return Ok(None);
            };
            all.push(series);
        }
    }
    Ok(Some(all))
}

fn work(access: Access, files: Files) -> Work {
    Work {
        access,
        pattern: Pattern::Sequential,
        temperature: Temperature::Cold,
        files,
        threads: 1,
    }
}

/// The guests of a side.
struct Field<'a> {
    plan: &'a Plan<'a>,
    fixture: &'a Fixture,
    side: Side,
    work: Work,
    /// The file on the host.
    file: PathBuf,
    running: Vec<SystemUnderTest>,
}

impl Field<'_> {
    async fn grow(mut self, watch: &Watch<'_>) -> Result<Option<Series>> {
        let mut points = Vec::new();
        let mut grown = Account::default();
        for &guests in &self.plan.guests {
            while self.running.len() < guests {
                if !(watch.goes_on)() {
                    return Ok(None);
                }
                let (access, number) = (self.work.access.name(), self.running.len() + 1);
                (watch.progress)(&format!("{access}, {}, guest {number}", self.side));
                grown = grown + self.one_more().await?;
            }
            points.push(Point {
                guests,
                grown,
                total: self.account()?,
            });
        }
        let series = Series {
            side: self.side.to_string(),
            about: self.side.about(),
            access: self.work.access.name().to_owned(),
            command: self
                .running
                .first()
                .map(|one| one.guest.command())
                .unwrap_or_default(),
            points,
        };
        for one in self.running {
            one.end().await?;
        }
        if let Some(last) = series.points.last() {
            plausible(self.side, last, self.plan.file.bytes())
                .with_context(|| format!("{}, {}", series.side, series.access))?;
        }
        Ok(Some(series))
    }

    fn account(&self) -> Result<Account> {
        let usages: Vec<Usage> = self
            .running
            .iter()
            .map(SystemUnderTest::usage)
            .collect::<Result<_>>()?;
        Account::take(&usages, &self.file)
    }

    /// Starts one more guest, and lets it read. Returns the growth of the whole account.
    async fn one_more(&mut self) -> Result<Account> {
        let Plan {
            kernel,
            virtiofsd,
            accel,
            memory,
            ..
        } = *self.plan;
        let name = self.side.to_string();
        let guest = (accel, memory);
        let one =
            SystemUnderTest::start(name, self.side, kernel, self.fixture, virtiofsd, guest).await?;
        self.running.push(one);
        let before = self.account()?;
        let one = self.running.last_mut().expect("it was pushed");
        let dir = one.dir();
        let prepare = Prepare {
            dir,
            work: self.work.clone(),
            turn: 0,
            pins: 0,
        };
        one.worker.ask(prepare).await?;
        let ran = one.worker.ask(Run::within(DEADLINE)).await?;
        one.worker.ask(Finish {}).await?;
        let read: u64 = ran.threads.iter().map(|thread| thread.bytes).sum();
        let size = self.plan.file.bytes();
        ensure!(
            read == size,
            "{read} bytes of {size} were read in {DEADLINE:?}"
        );
        if let Some(socket) = &one.metrics {
            all_mapped(socket, size).await?;
        }
        Ok(self.account()? - before)
    }
}

/// Waits until the daemon reports that the whole file is mapped.
async fn all_mapped(socket: &Path, size: u64) -> Result<()> {
    let deadline = Instant::now() + TOLD_DEADLINE;
    loop {
        let mapped = Metrics::at(socket).await?.mapped_bytes;
        if mapped == size {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{mapped} bytes of the file are mapped in place of {size}"
        );
        sleep(LOOK_AGAIN).await;
    }
}

/// Checks that the account distinguishes a guest that caches the file from one that doesn't.
fn plausible(side: Side, point: &Point, file: u64) -> Result<()> {
    let caches = matches!(side, Side::NoWindow | Side::Virtiofsd(_));
    let Account {
        private, cached, ..
    } = point.grown;
    let guests = point.guests as i64;
    ensure!(
        cached == file as i64 || side == Side::Image,
        "{cached} bytes of the file are in the host's page cache"
    );
    match caches {
        true => ensure!(
            private >= guests * (file as i64 - SLACK as i64),
            "{guests} guests have the file in page caches of their own, but took {private} bytes only"
        ),
        false => ensure!(
            private < guests * SLACK as i64,
            "{guests} guests have no page cache of the file, but took {private} bytes"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use qemu_guest::vm::process::Cache;

    use super::*;

    const FILE: u64 = 128 << 20;
    const CACHING: [Side; 2] = [Side::NoWindow, Side::Virtiofsd(Cache::Auto)];
    const SHARING: [Side; 2] = [Side::Window(ByteSize::mib(64)), Side::Image];

    /// Four guests that took `private` bytes, of which the host has cached `cached` bytes.
    fn seen(private: u64, cached: u64) -> Point {
        Point {
            guests: 4,
            grown: Account {
                private: private as i64,
                cached: cached as i64,
                ..Account::default()
            },
            total: Account::default(),
        }
    }

    #[test]
    fn who_caches_takes_the_file_for_each_guest() {
        for side in CACHING {
            assert!(plausible(side, &seen(4 * FILE, FILE), FILE).is_ok());
            let error = plausible(side, &seen(FILE, FILE), FILE).unwrap_err();
            assert!(error.to_string().contains("page caches of their own"));
        }
    }

    #[test]
    fn who_shares_takes_nothing_for_a_guest() {
        for side in SHARING {
            assert!(plausible(side, &seen(FILE / 8, FILE), FILE).is_ok());
            let error = plausible(side, &seen(4 * FILE, FILE), FILE).unwrap_err();
            assert!(error.to_string().contains("have no page cache"));
        }
    }

    #[test]
    fn the_host_has_the_file_once() {
        for cached in [0, FILE - 4096, 2 * FILE] {
            let point = seen(4 * FILE, cached);
            assert!(plausible(Side::NoWindow, &point, FILE).is_err(), "{cached}");
        }
    }
}
