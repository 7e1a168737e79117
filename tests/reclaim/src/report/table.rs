// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The run for a terminal.

use std::fmt::Write as _;

use dax_bench::report::{
    grid::{Row, columns},
    quantity, told,
};
use dax_bench::stats::Estimate;

use crate::model::{Crossover, PointResult, Round, Run, Series, crossovers};

/// What stands above the columns.
const HEAD: [&str; 12] = [
    "point / side",
    "bytes",
    "× virtiofsd",
    "by CPU",
    "× no window",
    "× tmpfs",
    "median",
    "p99",
    "daemon",
    "QEMU",
    "inline/s",
    "worker/s",
];

/// All points, with what was aimed at.
pub fn table(run: &Run) -> String {
    let mut out = head(run);
    let mut rows = vec![Row::Cells(HEAD.map(str::to_owned).to_vec())];
    for point in &run.points {
        rows.push(Row::Line(format!("{}: {}", point.name, point.about)));
        for series in &point.series {
            rows.push(Row::Cells(cells(point, series)));
            rows.extend(facts(series).map(Row::Line));
        }
        rows.extend(point.aims.iter().map(|aim| Row::Line(told(aim))));
    }
    out += &columns(&rows);
    for one in crossovers(&run.points) {
        let _ = writeln!(out, "{}", crossover(&one));
    }
    let [met, unsure, missed] = run.tally();
    let _ = writeln!(out, "aims: {met} met, {unsure} unsure, {missed} missed");
    out
}

/// `daxd-32M, read warm: as fast as no window up to 1 windows, slower from 1.5`.
pub(super) fn crossover(one: &Crossover) -> String {
    let what = format!("{}, {} {}", one.side, one.access, one.temperature.name());
    match (one.last_ahead, one.first_behind) {
        (Some(ahead), Some(behind)) => {
            format!("{what}: as fast as no window up to {ahead} windows, slower from {behind}")
        }
        (Some(ahead), None) => {
            format!("{what}: as fast as no window up to {ahead} windows at least")
        }
        (None, _) => format!("{what}: slower than no window from the smallest set on"),
    }
}

fn head(run: &Run) -> String {
    let (host, guests) = (&run.host, &run.guests);
    let mut out = format!(
        "daxlab {}, {}, {} s; {} CPUs ({}), Linux {}, load {}\n\
         guests: QEMU {} with {}, {} CPUs, {} MiB, {}\n\
         window {} MiB; {} rounds of {} s a side; files on the host in {}\n",
        run.lab_version,
        run.started,
        run.took_s,
        host.cores,
        host.cpu,
        host.kernel,
        host.load,
        guests.qemu,
        guests.accel,
        guests.cpus,
        guests.memory_mib,
        kernels(run),
        run.settings.window >> 20,
        run.settings.rounds,
        run.settings.seconds,
        host.share_fs,
    );
    for side in &run.sides {
        let _ = writeln!(out, "  {}: {}", side.name, side.about);
    }
    out.push('\n');
    out
}

/// `debian:6.12 (6.12.1)`, and others after it.
pub(super) fn kernels(run: &Run) -> String {
    let kernels = run.guests.kernels.iter();
    let named = kernels.map(|kernel| format!("{} ({})", kernel.spec, kernel.release));
    named.collect::<Vec<_>>().join(", ")
}

fn cells(point: &PointResult, series: &Series) -> Vec<String> {
    let ratio = |against| shown(point.ratio(&series.side, against), quantity::interval);
    let rate = |count: fn(&Round) -> Option<u64>| {
        let rate = series.median_of(|round| round.rate(count(round)));
        shown(rate, quantity::count)
    };
    let busy = |ns: fn(&Round) -> Option<u64>| {
        let share = series.median_of(|round| Some(round.share(ns(round)?)));
        shown(share, |share| format!("{:.0} %", 100.0 * share))
    };
    vec![
        format!("  {}", series.side),
        quantity::throughput(series.throughput()),
        ratio("virtiofsd-auto"),
        plain(point.per_cpu(&series.side, "virtiofsd-auto")),
        ratio("daxd-none"),
        ratio("tmpfs"),
        quantity::time(series.latency.median_ns as f64),
        quantity::time(series.latency.p99_ns as f64),
        busy(|round| round.daemon_cpu_ns),
        busy(|round| Some(round.qemu_cpu_ns)),
        rate(|round| round.inline),
        rate(|round| round.worker),
    ]
}

/// What has no column.
fn facts(series: &Series) -> impl Iterator<Item = String> {
    let mut told = Vec::new();
    let median = |count: fn(&Round) -> Option<u64>| {
        series.median_of(|round| count(round).map(|count| count as f64))
    };
    if let Some((set_up, removed)) = median(|round| round.set_up).zip(median(|round| round.removed))
    {
        told.push(format!("a turn: {set_up:.0} set up, {removed:.0} removed"));
    }
    let bytes = median(|round| round.mapped_bytes).zip(median(|round| round.used_bytes));
    if let Some((mapped, used)) = bytes {
        let [mapped, used] = [mapped, used].map(|bytes| bytes / f64::from(1 << 20));
        told.push(format!(
            "mapped at the end: {mapped:.1} MiB for {used:.1} of files"
        ));
    }
    if let Some(refused) = median(|round| round.refused).filter(|count| *count > 0.0) {
        told.push(format!("{refused:.0} refused"));
    }
    if series.stalls() > 0 {
        told.push(format!(
            "came to a STANDSTILL in {} of {} rounds",
            series.stalls(),
            series.rounds.len()
        ));
    }
    let line = (!told.is_empty()).then(|| format!("      {}", told.join("; ")));
    let asleep = series.blocked().into_iter();
    let asleep = asleep.map(|place| format!("        asleep then: {}", place.told()));
    line.into_iter().chain(asleep)
}

fn shown<T>(number: Option<T>, how: impl FnOnce(T) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), how)
}

/// Of a ratio, without its interval.
pub(super) fn plain(estimate: Option<Estimate>) -> String {
    shown(estimate, |estimate| quantity::ratio(estimate.median))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn each_side_has_a_row_and_each_aim_a_line() {
        let text = table(&fixture::run());
        let (_, point) = text.split_once("read-seq-warm/2x: ").unwrap();
        let row = point.lines().nth(1).unwrap();
        for cell in [
            "daxd-32M",
            "800 MiB/s",
            "1.95 [1.95 1.95]",
            "2.00 [2.00 2.00]",
            "25 %",
            "266",
        ] {
            assert!(row.contains(cell), "{cell}: {row}");
        }
        assert!(
            text.contains("daxd-32M: throughput / virtiofsd-auto ≥ 10: 3.90 [3.90 3.90] missed!"),
            "{text}"
        );
        let (_, stalled) = text.split_once("STANDSTILL in 3 of 3 rounds\n").unwrap();
        let asleep = stalled.lines().next().unwrap();
        assert!(asleep.starts_with("        asleep then: "), "{asleep}");
        assert!(
            text.contains(
                "daxd-32M, read warm: as fast as no window up to 4 windows, slower from 8"
            ),
            "{text}"
        );
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&fixture::run());
        let rows = text
            .lines()
            .filter(|line| line.contains(" MiB/s ") || line.contains(" GiB/s "));
        let mut widths: Vec<usize> = rows.map(UnicodeWidthStr::width).collect();
        assert!(widths.len() > 100);
        widths.dedup();
        assert_eq!(widths.len(), 1, "{text}");
    }
}
