// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A logarithmic axis.

use serde::Serialize;

/// Where it lies on the page, in the drawing's units.
const PLACE: (f64, f64) = (260.0, 700.0);
/// A row's height.
pub const ROW: f64 = 22.0;
/// What stands above the rows: the axis' labels.
pub const TOP: f64 = 26.0;
/// How many sides have a colour of their own.
const COLOURS: usize = 6;

/// The colour of one of the sides.
pub fn colour(sides: &[&str], side: &str) -> usize {
    sides.iter().position(|one| *one == side).unwrap_or(0) % COLOURS
}

/// From a power of its base to another.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    base: f64,
    from: i32,
    to: i32,
}

/// A mark with its label.
#[derive(Debug, Serialize)]
pub struct Tick {
    pub x: f64,
    pub label: String,
}

impl Axis {
    /// Whole powers of `base` around all of the numbers.
    pub fn over(base: f64, numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let logs = numbers.filter(|n| *n > 0.0).map(|n| n.log(base));
        let from = logs.clone().fold(f64::INFINITY, f64::min);
        let to = logs.fold(f64::NEG_INFINITY, f64::max);
        if from > to {
            let (from, to) = (0, 1);
            return Self { base, from, to };
        }
        let from = from.floor() as i32;
        let to = (to.ceil() as i32).max(from + 1);
        Self { base, from, to }
    }

    /// A number's place.
    pub fn x(&self, number: f64) -> f64 {
        let (left, right) = PLACE;
        let log = number.max(f64::MIN_POSITIVE).log(self.base);
        let along = (log - f64::from(self.from)) / f64::from(self.to - self.from);
        round(left + (right - left) * along.clamp(0.0, 1.0))
    }

    /// Its powers.
    pub fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values = (self.from..=self.to).map(|power| self.base.powi(power));
        values
            .map(|value| Tick {
                x: self.x(value),
                label: label(value),
            })
            .collect()
    }
}

/// A tenth of a unit is less than a pixel.
pub fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_whole_powers() {
        let axis = Axis::over(10.0, [20.0, 300.0].into_iter());
        let labels: Vec<_> = axis.ticks(|value| value.to_string());
        let labels: Vec<_> = labels.iter().map(|t| (t.x, t.label.as_str())).collect();
        assert_eq!(labels, [(260.0, "10"), (480.0, "100"), (700.0, "1000")]);
    }

    #[test]
    fn any_number_has_a_place() {
        for axis in [
            Axis::over(10.0, [].into_iter()),
            Axis::over(2.0, [1.0].into_iter()),
            Axis::over(2.0, [0.0, -1.0].into_iter()),
        ] {
            for number in [0.0, 1.0, f64::MAX, -1.0] {
                assert!(
                    (PLACE.0..=PLACE.1).contains(&axis.x(number)),
                    "{axis:?} {number}"
                );
            }
        }
    }
}
