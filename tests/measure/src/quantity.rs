// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Formats numbers for people.

use crate::stats::Estimate;

/// A time given in ns, with three digits.
pub fn time(ns: f64) -> String {
    scaled(ns, 1000.0, &[" ns", " us", " ms", " s"])
}

/// A number with three digits: `52.1k`.
pub fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G"])
}

/// Bytes a second: `1.21 GiB/s`.
pub fn throughput(bytes: f64) -> String {
    scaled(bytes, 1024.0, &[" B/s", " KiB/s", " MiB/s", " GiB/s"])
}

/// A ratio with its interval: `1.31 [1.28 1.35]`.
pub fn interval(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    format!("{} [{} {}]", ratio(median), ratio(low), ratio(high))
}

/// A ratio, with more digits if it is near 1.
pub fn ratio(number: f64) -> String {
    match number {
        ..99.995 => format!("{number:.2}"),
        _ => count(number),
    }
}

fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().unwrap_or(&"");
    for larger in units {
        if number < 999.5 {
            break;
        }
        number /= step;
        unit = larger;
    }
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (ns, shown) in [
            (0.0, "0.00 ns"),
            (999.0, "999 ns"),
            (999.9, "1.00 us"),
            (12_345.0, "12.3 us"),
            (5e9, "5.00 s"),
            (5e12, "5000 s"),
        ] {
            assert_eq!(time(ns), shown);
        }
        assert_eq!(count(52_060.0), "52.1k");
        assert_eq!(throughput(1_300_000_000.0), "1.21 GiB/s");
    }

    #[test]
    fn ratios_have_their_interval() {
        let estimate = Estimate {
            median: 1.306,
            low: 0.9,
            high: 1234.0,
        };
        assert_eq!(interval(estimate), "1.31 [0.90 1.23k]");
    }
}
