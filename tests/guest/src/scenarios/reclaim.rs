// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A small run of `daxlab bench reclaim`: the guest's window is too small for what it reads.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dax_bench::guests::{KernelParts, MEMORY, Watch};
use dax_bench::reclaim::model::Round;
use dax_bench::reclaim::plan::{Extent, Point, points};
use dax_bench::reclaim::{Field, Fixture, IN_MEMORY, Length, Side, SystemUnderTest, measure};
use guest_agent::workload::PAGE;
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::kernel::DebianKernel;
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec};
use qemu_guest::vm::machine::ByteSize;

use crate::lab::Host;
use crate::scenario::{Group, Tests};
use crate::tests;

/// Four ranges. The guest's worker frees the first one.
const WINDOW: ByteSize = ByteSize::mib(8);
/// Reads twice the window's size, so each range is taken from an earlier one.
const POINT: &str = "read-seq-cold/2x";
const LENGTH: Length = Length {
    rounds: 1,
    turn: Duration::from_secs(5),
};

pub const GROUP: Group = Group {
    name: "reclaim",
    tests: Tests::Alone(tests![Alone: is_measured_and_wrong_content_is_caught]),
};

async fn is_measured_and_wrong_content_is_caught(_host: &Host) -> Result<()> {
    let all = points(Extent::Usual, WINDOW.bytes());
    let point = all.into_iter().find(|point| point.name() == POINT);
    let point = point.context("no such point")?;
    let files = point.work.files;
    let mut field = field(files.working).await?;

    let measured = play(&mut field, &point).await?;
    let [round] = &measured[..] else {
        anyhow::bail!("{} rounds", measured.len());
    };
    ensure!(round.bytes == files.working, "{round:?}");
    // The daemon has counted the same number, or the turn would have failed.
    let taken = round
        .inline
        .zip(round.worker)
        .map(|(inline, worker)| inline + worker);
    let ranges = files.working / guest_agent::workload::RANGE;
    ensure!(
        round.set_up >= Some(ranges) && taken >= Some(ranges / 2),
        "{round:?}"
    );
    ensure!(round.mapped_bytes <= Some(WINDOW.bytes()), "{round:?}");
    ensure!(
        round.daemon_cpu_ns > Some(0) && round.qemu_cpu_ns > 0,
        "{round:?}"
    );

    let path = field.fixture.share().join(files.path(1));
    File::options()
        .write(true)
        .open(path)?
        .write_all_at(&[0; PAGE as usize], 7 * PAGE)?;
    let caught = play(&mut field, &point).await;
    let said = format!(
        "{:#}",
        caught.err().context("wrong content was not noticed")?
    );
    ensure!(
        said.contains("00001, byte 28672: the page has the stamp 0,"),
        "{said}"
    );
    for one in field.systems {
        one.end().await?;
    }
    Ok(())
}

async fn field(working: u64) -> Result<Field> {
    let kernel = KernelSpec::Debian(DebianKernel::V6_12);
    let qemu = QemuSpec::from_environment();
    let kernel = KernelParts::obtain(&kernel, &qemu, &[], Progress::auto())?;
    let fixture = Fixture::make(IN_MEMORY.as_ref(), working, WINDOW.bytes())?;
    let side = Side::Window(WINDOW);
    // Our daemon serves a side with a window.
    let virtiofsd = "/nonexistent".as_ref();
    let guest = (AccelChoice::Auto, MEMORY);
    let one =
        SystemUnderTest::start(side.to_string(), side, &kernel, &fixture, virtiofsd, guest).await?;
    Ok(Field {
        systems: vec![one],
        fixture,
        window: WINDOW.bytes(),
    })
}

async fn play(field: &mut Field, point: &Point) -> Result<Vec<Round>> {
    let watch = Watch {
        goes_on: &|| true,
        progress: &|_| (),
    };
    let points = measure(field, std::slice::from_ref(point), LENGTH, &watch).await?;
    let mut points = points.context("it was stopped")?;
    ensure!(points.len() == 1);
    Ok(points.remove(0).series.remove(0).rounds)
}
