// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is aimed at. An aim is told, it fails no run.

use dax_bench::model::{Aim, Bound};
use guest_agent::workload::{Access, Pattern, Temperature};

use super::PointResult;
use crate::plan::Pins;

/// The aims of a point, for each side with a window that the working set was made for.
pub(super) fn of(point: &PointResult) -> Vec<Aim> {
    let Some((against, bound)) = wanted(point) else {
        return Vec::new();
    };
    let windows = point.series.iter().filter(|series| is_window(&series.side));
    let aim = |side: &str| {
        let ratio = point.ratio(side, against)?;
        Some(Aim::new(
            side,
            format!("throughput / {against}"),
            bound,
            ratio,
        ))
    };
    windows.filter_map(|series| aim(&series.side)).collect()
}

fn wanted(point: &PointResult) -> Option<(&'static str, Bound)> {
    let work = &point.work;
    let usual = point.pins == Pins::None
        && work.pattern == Pattern::Sequential
        && work.threads == 1
        && work.files.size == 4 << 20;
    if !usual {
        return None;
    }
    let virtiofsd = |factor| Some(("virtiofsd-auto", Bound::AtLeast(factor)));
    // Linux sets ranges free from 20 % of free ones on, so that a working set of the window's size
    // is not within it.
    let within = point.times <= 0.8;
    match (work.access, work.temperature) {
        // Where nothing is cached: once a page is, a load from it is a load from memory on all sides.
        (Access::Load, Temperature::Cold) if within => virtiofsd(10.0),
        (Access::Read, _) if within => virtiofsd(1.0),
        (Access::Extend, _) => virtiofsd(1.0),
        (Access::Read, _) if point.times == 2.0 => Some(("daxd-none", Bound::AtLeast(0.7))),
        _ => None,
    }
}

/// Whether it is our daemon with a window.
pub(super) fn is_window(side: &str) -> bool {
    side.starts_with("daxd-") && !side.starts_with("daxd-none")
}
