// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Wake latencies as strips: a dot a sample, a box from the 25th to the 75th percentile, marks at
//! the median and the 99th. One plot a file system, the kernels of a pin side by side, the axis
//! logarithmic. Only places are computed here; the template draws.

use serde::Serialize;

use crate::{
    groups::grouped,
    latency::{Distribution, Time, Wakes, wakes},
    model::Run,
    text,
};

/// The axis on the page, in the drawing's units.
const AXIS: (f64, f64) = (300.0, 700.0);
/// A row's height.
const ROW: f64 = 26.0;
/// What stands above the rows: the axis' labels.
const TOP: f64 = 26.0;
/// More dots than these say nothing more.
const DOTS: usize = 300;
/// How many kernels have a colour of their own.
const COLOURS: usize = 6;

/// One file system's plot.
#[derive(Debug, Serialize)]
pub struct Plot {
    fs: String,
    height: f64,
    bottom: f64,
    ticks: Vec<Tick>,
    strips: Vec<Strip>,
}

/// A decade.
#[derive(Debug, Serialize)]
struct Tick {
    x: f64,
    label: String,
}

/// One pin on one kernel.
#[derive(Debug, Serialize)]
struct Strip {
    y: f64,
    /// Only at the first of a pin's.
    pin: Option<String>,
    kernel: String,
    colour: usize,
    dots: Vec<(f64, f64)>,
    quartiles: (f64, f64),
    median: f64,
    p99: f64,
    text: String,
}

/// The plots of all that was measured.
pub fn plots(run: &Run, kernels: &[&str]) -> Vec<Plot> {
    let systems = grouped(&run.cells, |cell| cell.fs.as_str());
    let plots = systems.into_iter().filter_map(|(fs, cells)| {
        let rows = wakes(cells);
        (!rows.is_empty()).then(|| plot(fs, &rows, kernels))
    });
    plots.collect()
}

fn plot(fs: &str, rows: &[Wakes<'_>], kernels: &[&str]) -> Plot {
    let axis = Axis::over(rows);
    let mut strips: Vec<Strip> = Vec::new();
    let mut y = TOP;
    for (place, row) in rows.iter().enumerate() {
        let first = place == 0 || rows[place - 1].pin != row.pin;
        if first && place > 0 {
            y += ROW / 3.0;
        }
        let kernel = kernels.iter().position(|kernel| *kernel == row.kernel);
        let colour = kernel.unwrap_or(0) % COLOURS;
        strips.push(strip(&axis, row, y + ROW / 2.0, first, colour));
        y += ROW;
    }
    Plot {
        fs: fs.to_owned(),
        height: y + 6.0,
        bottom: y,
        ticks: axis.ticks(),
        strips,
    }
}

fn strip(axis: &Axis, row: &Wakes<'_>, y: f64, first: bool, colour: usize) -> Strip {
    let at = |percent| axis.x(row.wake.percentile(percent).unwrap_or(0));
    Strip {
        y,
        pin: first.then(|| text::clip(row.pin, 20)),
        kernel: text::clip(row.kernel, 20),
        colour,
        dots: dots(axis, &row.wake, y),
        quartiles: (at(25), round((at(75) - at(25)).max(1.0))),
        median: at(50),
        p99: at(99),
        text: row.wake.to_string(),
    }
}

/// The samples' places, spread over the strip's height by a fixed rule, so that equal runs give
/// equal pages.
fn dots(axis: &Axis, wake: &Distribution, y: f64) -> Vec<(f64, f64)> {
    let samples = wake.samples();
    let count = samples.len().min(DOTS);
    // The first and the last are always among them: what lies far out is what one looks for.
    let place = |n: usize| n * (samples.len() - 1) / (count - 1).max(1);
    (0..count)
        .map(|n| {
            // Multiples of the golden ratio, modulo 1, are spread evenly.
            let spread = (n as f64 * 0.618_034).fract() - 0.5;
            (axis.x(samples[place(n)]), round(y + spread * ROW * 0.6))
        })
        .collect()
}

/// Whole decades.
#[derive(Debug)]
struct Axis {
    from: u32,
    to: u32,
}

impl Axis {
    fn over(rows: &[Wakes<'_>]) -> Self {
        let samples = || rows.iter().flat_map(|row| row.wake.samples());
        let decade = |us: u64| us.max(1).ilog10();
        let from = samples().min().map_or(0, |least| decade(*least));
        let to = samples().max().map_or(0, |most| decade(*most));
        Self { from, to: to + 1 }
    }

    fn x(&self, us: u64) -> f64 {
        let (left, right) = AXIS;
        let decades = f64::from(self.to - self.from);
        let along = (us.max(1) as f64).log10() - f64::from(self.from);
        round(left + (right - left) * along / decades)
    }

    fn ticks(&self) -> Vec<Tick> {
        // Beyond the 19th, 10 to the power is no u64; such a sample is a broken file's.
        let values = (self.from..=self.to).filter_map(|decade| 10u64.checked_pow(decade));
        let label = |us: u64| {
            let time = Time(us).to_string();
            time.replace(".00", "").replace(".0", "")
        };
        values
            .map(|us| Tick {
                x: self.x(us),
                label: label(us),
            })
            .collect()
    }
}

/// A tenth of a unit is less than a pixel.
fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_axis_is_whole_decades() {
        let run = fixture::small();
        let plots = plots(&run, &run.kernels());
        let plot = &plots[0];
        let labels: Vec<_> = plot.ticks.iter().map(|t| (t.x, t.label.as_str())).collect();
        assert_eq!(labels, [(300.0, "1 ms"), (700.0, "10 ms")]);
        let strip = &plot.strips[0];
        assert_eq!(strip.text, "n 3, median 1.50 ms, p99 4.10 ms");
        assert!(strip.quartiles.0 < strip.median && strip.median < strip.p99);
        assert_eq!((plot.strips[0].colour, plot.strips[1].colour), (0, 1));
        assert_eq!(plot.strips[1].pin, None, "side by side");
    }

    #[test]
    fn any_sample_has_a_place() {
        let run = fixture::hostile();
        let plots = plots(&run, &run.kernels());
        let places = plots[0].strips[0].dots.iter();
        for (x, _) in places {
            assert!((AXIS.0..=AXIS.1).contains(x), "{x}");
        }
        let mut run = fixture::small();
        run.cells.truncate(1);
        run.cells[0].evidence.wake_us = vec![7; 5000];
        run.cells[0].evidence.wake_us.push(100_000);
        let plots = super::plots(&run, &run.kernels());
        let (last, _) = plots[0].strips[0].dots[DOTS - 1];
        assert!(last > plots[0].strips[0].p99, "the slowest is shown");
        assert_eq!(plots[0].strips[0].dots.len(), DOTS);
    }
}
