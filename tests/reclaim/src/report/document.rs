// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The numbers of a document: Markdown between two marks, around which people write.

use std::fmt::Write as _;

use dax_bench::model::Verdict;
use dax_bench::report::{between, grid::markdown, quantity};
use guest_agent::workload::{Access, Pattern, Temperature};

use super::table::{crossover, kernels, plain};
use crate::model::{PointResult, Round, Run, Series, crossovers};
use crate::plan::Pins;

/// The line before the numbers.
const BEGIN: &str = "<!-- numbers of `daxlab bench reclaim`, made by it: change nothing here -->";
/// The line behind them.
const END: &str = "<!-- end of the numbers -->";

/// The document with the run's numbers in place of those that it has. None if it has no marks.
pub fn with_numbers(document: &str, run: &Run) -> Option<String> {
    between(document, BEGIN, END, &numbers(run))
}

fn numbers(run: &Run) -> String {
    let (host, guests) = (&run.host, &run.guests);
    let mut out = format!(
        "{}, {} CPUs ({}), Linux {}, load {} at the beginning; {} s.\n\
         Guests: QEMU {} with {}, {} CPUs, {} MiB, {}.\n\
         Window {} MiB, {} rounds of {} s a side, files in {}.\n\n",
        run.started,
        host.cores,
        host.cpu,
        host.kernel,
        host.load,
        run.took_s,
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
    out += &aims(run);
    out += &over_working_sets(run);
    out += "\n### All points\n\n";
    out += &all(run);
    out += &standstills(run);
    out
}

/// Where the guest's tasks slept when accesses came to a standstill.
fn standstills(run: &Run) -> String {
    let mut out = String::new();
    for point in &run.points {
        for series in &point.series {
            let places = series.blocked();
            if !places.is_empty() {
                let _ = write!(
                    out,
                    "\n{}, {} in a standstill:\n\n",
                    point.name, series.side
                );
            }
            for place in places {
                let _ = writeln!(out, "- `{}`", place.told());
            }
        }
    }
    out
}

fn aims(run: &Run) -> String {
    let mut rows = Vec::new();
    for point in &run.points {
        for aim in &point.aims {
            let verdict = match aim.verdict {
                Verdict::Missed => "**missed**",
                other => other.name(),
            };
            rows.push(vec![
                point.name.clone(),
                aim.side.clone(),
                format!("{} {}", aim.of, aim.bound),
                quantity::interval(aim.found),
                verdict.to_owned(),
                by_cpu(point, &aim.side, &aim.of),
            ]);
        }
    }
    let mut out = "### Aims\n\n".to_owned();
    out += &markdown(&["point", "side", "aim", "found", "", "by CPU"], &rows);
    out.push('\n');
    for one in crossovers(&run.points) {
        let _ = writeln!(out, "- {}", crossover(&one));
    }
    out
}

/// The same as an aim's, of bytes by processor time.
fn by_cpu(point: &PointResult, side: &str, of: &str) -> String {
    let against = of.rsplit(' ').next().unwrap_or_default();
    let found = point.per_cpu(side, against);
    found.map_or_else(String::new, quantity::interval)
}

/// Throughput by working set, of what is done in sequence and as usual in all else.
fn over_working_sets(run: &Run) -> String {
    let mut out = String::new();
    for access in [Access::Read, Access::Load] {
        for temperature in [Temperature::Cold, Temperature::Warm] {
            let points: Vec<&PointResult> = run
                .points
                .iter()
                .filter(|point| {
                    let work = &point.work;
                    (work.access, work.temperature) == (access, temperature)
                        && (work.pattern, work.threads) == (Pattern::Sequential, 1)
                        && (work.files.size, point.pins) == (4 << 20, Pins::None)
                })
                .collect();
            if points.len() < 2 {
                continue;
            }
            let _ = write!(
                out,
                "\n### {access}, in sequence, caches {}: bytes a second\n\n",
                temperature.name()
            );
            let mut head = vec!["working set / window".to_owned()];
            head.extend(points.iter().map(|point| format!("{}", point.times)));
            let row = |series: &Series| {
                let mut row = vec![series.side.clone()];
                row.extend(points.iter().map(|point| {
                    let side = point.side(&series.side);
                    side.map_or_else(String::new, |one| quantity::throughput(one.throughput()))
                }));
                row
            };
            let rows: Vec<_> = points[0].series.iter().map(row).collect();
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            out += &markdown(&head, &rows);
        }
    }
    out
}

fn all(run: &Run) -> String {
    let mut rows = Vec::new();
    for point in &run.points {
        for (at, series) in point.series.iter().enumerate() {
            let rate = |count: fn(&Round) -> Option<u64>| {
                let rate = series.median_of(|round| round.rate(count(round)));
                rate.map_or_else(|| "-".to_owned(), quantity::count)
            };
            let stalls = match series.stalls() {
                0 => String::new(),
                count => format!(" (standstill in {count} of {})", series.rounds.len()),
            };
            rows.push(vec![
                if at == 0 {
                    point.name.clone()
                } else {
                    String::new()
                },
                series.side.clone(),
                format!("{}{stalls}", quantity::throughput(series.throughput())),
                plain(point.ratio(&series.side, "virtiofsd-auto")),
                plain(point.per_cpu(&series.side, "virtiofsd-auto")),
                plain(point.ratio(&series.side, "daxd-none")),
                plain(point.ratio(&series.side, "tmpfs")),
                quantity::time(series.latency.median_ns as f64),
                quantity::time(series.latency.p99_ns as f64),
                rate(|round| round.inline),
                rate(|round| round.worker),
            ]);
        }
    }
    markdown(
        &[
            "point",
            "side",
            "bytes",
            "× virtiofsd-auto",
            "by CPU",
            "× daxd-none",
            "× tmpfs",
            "median",
            "p99",
            "inline/s",
            "worker/s",
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn numbers_take_the_place_of_numbers() {
        let document = format!("above\n{BEGIN}\nof before\n{END}\nbelow\n");
        let text = with_numbers(&document, &fixture::run()).unwrap();
        assert!(text.starts_with("above\n") && text.ends_with("\nbelow\n"));
        assert!(!text.contains("of before"));
        for part in [
            "| load-seq-cold/0.5x | daxd-32M | throughput / virtiofsd-auto ≥ 10 | 3.90 [3.90 3.90] | **missed** | 3.90 [3.90 3.90] |",
            "- daxd-32M, read warm: as fast as no window up to 4 windows, slower from 8\n",
            "load-seq-warm/2x/pins-most, daxd-32M in a standstill:\n\n- `",
            "fuse_wait_dax_page < worker_thread`\n",
            "| daxd-32M | 1.56 GiB/s | 1.56 GiB/s | 1.56 GiB/s | 1.04 GiB/s | 800 MiB/s |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(with_numbers(&text, &fixture::run()), Some(text));
    }

    #[test]
    fn a_document_without_marks_is_left_alone() {
        assert_eq!(with_numbers("no marks", &fixture::run()), None);
    }
}
