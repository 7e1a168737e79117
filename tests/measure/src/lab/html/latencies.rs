// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Wake latencies, as strips.

use crate::{
    lab::{
        Run,
        grid::grouped,
        latency::{Wakes, wakes},
    },
    plot::{Strip, Strips, colour, time_mark},
    text,
};

/// One plot for each file system, with the kernels of a pin side by side: a dot for each sample, a
/// box from the 25th to the 75th percentile, marks at the median and the 99th.
pub fn plots(run: &Run, kernels: &[&str]) -> Vec<Strips> {
    let systems = grouped(&run.cells, |cell| cell.fs.as_str());
    let plots = systems.into_iter().filter_map(|(fs, cells)| {
        let strips = wakes(cells).iter().map(|row| strip(row, kernels)).collect();
        Strips::new(fs, (10.0, time_mark), false, strips)
    });
    plots.collect()
}

fn strip(row: &Wakes<'_>, kernels: &[&str]) -> Strip {
    let ns = |us: u64| us as f64 * 1e3;
    let at = |percent| ns(row.wake.percentile(percent).unwrap_or(0));
    Strip {
        group: text::clip(row.pin, 20),
        name: text::clip(row.kernel, 20),
        colour: colour(kernels.iter().copied(), row.kernel),
        span: (at(25), at(75)),
        mark: at(50),
        tail: Some(at(99)),
        dots: row.wake.samples().iter().copied().map(ns).collect(),
        text: row.wake.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fixture;

    #[test]
    fn kernels_of_a_pin_stand_side_by_side_in_their_colours() {
        let run = fixture::small();
        let rows = wakes(&run.cells);
        let [first, second] = [0, 1].map(|at| strip(&rows[at], &run.kernels()));
        assert_eq!((first.colour, second.colour), (0, 1));
        assert_eq!(first.group, second.group);
        assert!(first.span.0 < first.mark && Some(first.mark) < first.tail);
        assert_eq!(first.text, "n 3, median 1.50 ms, p99 4.10 ms");
    }
}
