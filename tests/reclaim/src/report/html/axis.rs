// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A logarithmic axis along either side of a plot.

use serde::Serialize;

/// From a power of its base to another, drawn between two places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    base: f64,
    from: i32,
    to: i32,
    place: (f64, f64),
}

/// A mark with its label.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    at: f64,
    label: String,
}

impl Axis {
    /// Whole powers of `base` around all of the numbers above 0.
    pub(super) fn over(
        base: f64,
        numbers: impl Iterator<Item = f64> + Clone,
        place: (f64, f64),
    ) -> Self {
        let logs = numbers
            .filter(|number| *number > 0.0)
            .map(|number| number.log(base));
        let from = logs.clone().fold(f64::INFINITY, f64::min);
        let to = logs.fold(f64::NEG_INFINITY, f64::max);
        let (from, to) = match from <= to {
            true => (from.floor() as i32, to.ceil() as i32),
            false => (0, 1),
        };
        Self {
            base,
            from,
            to: to.max(from + 1),
            place,
        }
    }

    /// A number's place.
    pub(super) fn at(&self, number: f64) -> f64 {
        let (first, last) = self.place;
        let log = number.max(f64::MIN_POSITIVE).log(self.base);
        let along = (log - f64::from(self.from)) / f64::from(self.to - self.from);
        // A tenth of a unit is less than a pixel.
        ((first + (last - first) * along.clamp(0.0, 1.0)) * 10.0).round() / 10.0
    }

    /// Its powers.
    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values = (self.from..=self.to).map(|power| self.base.powi(power));
        let tick = |value| Tick {
            at: self.at(value),
            label: label(value),
        };
        values.map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_whole_powers_and_takes_any_number() {
        let axis = Axis::over(10.0, [20.0, 300.0].into_iter(), (0.0, 100.0));
        let ticks: Vec<f64> = axis
            .ticks(|value| value.to_string())
            .iter()
            .map(|t| t.at)
            .collect();
        assert_eq!(ticks, [0.0, 50.0, 100.0]);
        let empty = Axis::over(2.0, [].into_iter(), (400.0, 0.0));
        for number in [0.0, -1.0, 1.0, f64::MAX] {
            assert!((0.0..=400.0).contains(&empty.at(number)), "{number}");
        }
    }
}
