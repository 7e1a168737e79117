// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Formats numbers for people.

use std::time::Duration;

/// A number of bytes.
pub fn bytes(number: f64) -> String {
    scaled(
        number,
        1024.0,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB"],
        " ",
    )
}

/// A count.
pub fn count(number: f64) -> String {
    if number < 10_000.0 {
        return format!("{number:.0}");
    }
    scaled(number, 1000.0, &["", "k", "M", "G", "T"], "")
}

/// A rate per second.
pub fn rate(number: f64) -> String {
    match number > 0.0 && number < 10.0 {
        true => format!("{number:.1}"),
        false => count(number),
    }
}

fn scaled(mut number: f64, step: f64, units: &[&str], space: &str) -> String {
    let mut unit = 0;
    while number >= step && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 100.0);
    format!("{number:.digits$}{space}{}", units[unit])
}

/// A duration in seconds.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        _ if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        _ if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// An age.
pub fn age(milliseconds: u64) -> String {
    let seconds = Duration::from_millis(milliseconds).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_their_numbers() {
        let table = [
            (bytes(0.0), "0 B"),
            (bytes(1023.0), "1023 B"),
            (bytes(2_097_152.0), "2.0 MiB"),
            (bytes(268_435_456.0), "256 MiB"),
            (count(9999.0), "9999"),
            (count(12_340.0), "12.3k"),
            (rate(0.0), "0"),
            (rate(2.25), "2.2"),
            (seconds(0.000_052), "52.0 µs"),
            (seconds(0.0012), "1.20 ms"),
            (age(61_000), "1 min 1 s"),
            (age(90_000_000), "1 d 1 h"),
        ];
        for (shown, expected) in table {
            assert_eq!(shown, expected);
        }
    }
}
