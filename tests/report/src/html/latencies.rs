// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table of wake latencies.

use serde::Serialize;

use crate::{
    latency::Time,
    model::Run,
    summary::{Figures, Summary, summaries},
};

/// A row: a pin on a file system and a kernel.
#[derive(Debug, Serialize)]
pub struct Latency<'a> {
    fs: &'a str,
    pin: &'a str,
    kernel: &'a str,
    n: usize,
    /// Fastest, median, 90th and 99th percentile, slowest.
    wake: [String; 5],
    /// The median by the guest's clock.
    guest: String,
    /// The first kernel's median over this one's, by the server and by the guest's clock.
    ratios: [String; 2],
    vain: String,
}

/// All rows.
pub fn latencies(run: &Run) -> Vec<Latency<'_>> {
    summaries(run).into_iter().map(latency).collect()
}

fn latency(row: Summary<'_>) -> Latency<'_> {
    let Figures {
        n,
        min,
        median,
        p90,
        p99,
        max,
    } = row.wake_us;
    let ratio =
        |ratio: Option<crate::ratio::Ratio>| ratio.map_or_else(String::new, |r| r.to_string());
    Latency {
        fs: row.fs,
        pin: row.pin,
        kernel: row.kernel,
        n,
        wake: [min, median, p90, p99, max].map(time),
        guest: time(row.wake_guest_us.median),
        ratios: [ratio(row.first_to_this), ratio(row.first_to_this_guest)],
        vain: row
            .vain_wakeups
            .map_or_else(|| "not counted".to_owned(), |count| count.to_string()),
    }
}

fn time(us: Option<u64>) -> String {
    us.map_or_else(String::new, |us| Time(us).to_string())
}
