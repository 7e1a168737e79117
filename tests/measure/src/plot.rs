// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The plots of a page. This module computes positions only; `parts.html` draws.

use serde::Serialize;

use crate::quantity;

/// The number of different colours for sides.
const COLOURS: usize = 10;
/// The position of the axis of [`Strips`], in the drawing's units.
const ALONG: (f64, f64) = (300.0, 700.0);
/// The height of a strip, and of the axis' labels above the first one.
const ROW: f64 = 24.0;
const TOP: f64 = 26.0;
/// The most dots in a strip; more dots would show nothing new.
const DOTS: usize = 300;
/// The position of the plane of [`Curves`].
const ACROSS: (f64, f64) = (90.0, 700.0);
const DOWN: (f64, f64) = (330.0, 20.0);

/// The number of a side's colour, which is the same in all plots with the same sides.
pub fn colour<'a>(mut sides: impl Iterator<Item = &'a str>, side: &str) -> usize {
    sides.position(|one| one == side).unwrap_or(0) % COLOURS
}

/// A time in ns, formatted for an axis.
pub fn time_mark(ns: f64) -> String {
    quantity::time(ns).replace(".00", "").replace(".0", "")
}

/// A logarithmic axis, from one power of its base to another.
#[derive(Clone, Copy, Debug)]
struct Axis {
    base: f64,
    from: i32,
    to: i32,
    place: (f64, f64),
}

/// A mark with its label.
#[derive(Debug, Serialize)]
struct Tick {
    at: f64,
    label: String,
}

impl Axis {
    /// Whole powers of `base` around all of the numbers above 0.
    fn over(base: f64, numbers: impl Iterator<Item = f64>, place: (f64, f64)) -> Self {
        let logs: Vec<f64> = numbers.filter(|n| *n > 0.0).map(|n| n.log(base)).collect();
        let from = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let to = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (from, to) = match from <= to {
            true => (from.floor() as i32, to.ceil() as i32),
            false => (0, 1),
        };
        let to = to.max(from + 1);
        Self {
            base,
            from,
            to,
            place,
        }
    }

    /// The position of a number.
    fn at(&self, number: f64) -> f64 {
        let (first, last) = self.place;
        let log = number.max(f64::MIN_POSITIVE).log(self.base);
        let along = (log - f64::from(self.from)) / f64::from(self.to - self.from);
        rounded(first + (last - first) * along.clamp(0.0, 1.0))
    }

    /// The marks at the powers of the base.
    fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values = (self.from..=self.to).map(|power| self.base.powi(power));
        let tick = |value| Tick {
            at: self.at(value),
            label: label(value),
        };
        values.map(tick).collect()
    }
}

/// Rounds to a tenth of a unit, which is less than a pixel.
fn rounded(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

/// Strips above each other, with a common axis.
#[derive(Debug, Serialize)]
pub struct Strips {
    title: String,
    height: f64,
    bottom: f64,
    /// The position of the ratio 1.
    one: Option<f64>,
    ticks: Vec<Tick>,
    strips: Vec<Placed>,
}

/// The content of a strip: a box, a mark in it, dots, and the numbers as text.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// The name of the group that it shares with its neighbours.
    pub group: String,
    /// Its name.
    pub name: String,
    /// The number of its colour.
    pub colour: usize,
    /// The ends of the box.
    pub span: (f64, f64),
    /// The position of the mark.
    pub mark: f64,
    /// The position of a mark beyond the box.
    pub tail: Option<f64>,
    /// Samples, in ascending order.
    pub dots: Vec<f64>,
    /// The numbers as text.
    pub text: String,
}

#[derive(Debug, Serialize)]
struct Placed {
    y: f64,
    /// At a group's first strip only.
    group: Option<String>,
    name: String,
    colour: usize,
    from: f64,
    width: f64,
    mark: f64,
    tail: Option<f64>,
    dots: Vec<(f64, f64)>,
    text: String,
}

impl Strips {
    /// Strips with an axis of this base; `None` without strips. With `one` the axis has a line at
    /// 1.
    pub fn new(
        title: impl Into<String>,
        (base, label): (f64, fn(f64) -> String),
        one: bool,
        strips: Vec<Strip>,
    ) -> Option<Self> {
        let numbers = strips.iter().flat_map(|strip| {
            let all = [strip.span.0, strip.span.1, strip.mark];
            let more = strip.tail.iter().chain(&strip.dots).copied();
            all.into_iter().chain(more)
        });
        let axis = Axis::over(base, numbers.chain(one.then_some(1.0)), ALONG);
        let mut placed: Vec<Placed> = Vec::new();
        let mut y = TOP;
        let mut before: Option<String> = None;
        for strip in strips {
            let first = before.as_ref() != Some(&strip.group);
            if first && before.is_some() {
                y += ROW / 3.0;
            }
            before = Some(strip.group.clone());
            placed.push(strip.placed(&axis, y + ROW / 2.0, first));
            y += ROW;
        }
        (!placed.is_empty()).then(|| Self {
            title: title.into(),
            height: y + 6.0,
            bottom: y,
            one: one.then(|| axis.at(1.0)),
            ticks: axis.ticks(label),
            strips: placed,
        })
    }
}

impl Strip {
    fn placed(self, axis: &Axis, y: f64, first: bool) -> Placed {
        let [from, to] = [self.span.0, self.span.1].map(|number| axis.at(number));
        let count = self.dots.len().min(DOTS);
        // The first and the last dot are always drawn: outliers are what a reader looks for.
        let place = |n: usize| n * self.dots.len().saturating_sub(1) / (count - 1).max(1);
        let dot = |n: usize| {
            // Multiples of the golden ratio, modulo 1, are spread evenly. Equal runs give equal
            // pages.
            let spread = (n as f64 * 0.618_034).fract() - 0.5;
            let x = axis.at(self.dots[place(n)]);
            (x, rounded(y + spread * ROW * 0.6))
        };
        Placed {
            y,
            group: first.then_some(self.group),
            name: self.name,
            colour: self.colour,
            from,
            width: rounded((to - from).max(1.0)),
            mark: axis.at(self.mark),
            tail: self.tail.map(|number| axis.at(number)),
            dots: (0..count).map(dot).collect(),
            text: self.text,
        }
    }
}

/// Lines in a plane, one for each side.
#[derive(Debug, Serialize)]
pub struct Curves {
    title: String,
    x_name: &'static str,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    curves: Vec<Curve>,
}

#[derive(Debug, Serialize)]
struct Curve {
    name: String,
    colour: usize,
    /// In the format of an SVG polyline.
    points: String,
    dots: Vec<(f64, f64)>,
    /// The position of its name in the legend.
    legend: f64,
}

/// A line: its name, its colour and its points.
pub type Line = (String, usize, Vec<(f64, f64)>);

/// The scale of an axis: the factor between two marks, and their label.
pub type Scale = (f64, fn(f64) -> String);

impl Curves {
    /// Plots the lines that have at least two points with both numbers above 0. `None` if there is
    /// no such line.
    pub fn new(
        title: String,
        x_name: &'static str,
        (x, y): (Scale, Scale),
        lines: impl IntoIterator<Item = Line>,
    ) -> Option<Self> {
        let mut drawn: Vec<_> = lines.into_iter().collect();
        for (_, _, points) in &mut drawn {
            points.retain(|(x, y)| *x > 0.0 && *y > 0.0);
        }
        drawn.retain(|(_, _, points)| points.len() > 1);
        let all = || drawn.iter().flat_map(|(_, _, points)| points);
        let across = Axis::over(x.0, all().map(|(x, _)| *x), ACROSS);
        let down = Axis::over(y.0, all().map(|(_, y)| *y), DOWN);
        let curve = |(at, (name, colour, points)): (usize, Line)| {
            let dots: Vec<_> = points
                .iter()
                .map(|(x, y)| (across.at(*x), down.at(*y)))
                .collect();
            let points: Vec<_> = dots.iter().map(|(x, y)| format!("{x},{y}")).collect();
            Curve {
                name,
                colour,
                points: points.join(" "),
                dots,
                legend: 30.0 + 18.0 * at as f64,
            }
        };
        (!drawn.is_empty()).then(|| Self {
            title,
            x_name,
            x_ticks: across.ticks(x.1),
            y_ticks: down.ticks(y.1),
            curves: drawn.into_iter().enumerate().map(curve).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_whole_powers_and_takes_any_number() {
        let axis = Axis::over(10.0, [2e6, 4.1e6].into_iter(), ALONG);
        let ticks = axis.ticks(time_mark);
        let ticks: Vec<_> = ticks.iter().map(|t| (t.at, t.label.as_str())).collect();
        assert_eq!(ticks, [(300.0, "1 ms"), (700.0, "10 ms")]);
        for numbers in [&[][..], &[1.0], &[0.0, -1.0], &[u64::MAX as f64]] {
            let axis = Axis::over(2.0, numbers.iter().copied(), DOWN);
            for number in [0.0, -1.0, 1.0, f64::MAX] {
                assert!((DOWN.1..=DOWN.0).contains(&axis.at(number)), "{number}");
            }
        }
    }

    #[test]
    fn the_slowest_is_among_the_dots() {
        let mut dots = vec![7.0; 5000];
        dots.push(1e5);
        let strip = Strip {
            span: (7.0, 7.0),
            mark: 7.0,
            tail: Some(8.0),
            dots,
            ..Strip::default()
        };
        let plot = Strips::new("", (10.0, time_mark), false, vec![strip.clone(), strip]).unwrap();
        let [first, second] = &plot.strips[..] else {
            panic!("two strips")
        };
        assert_eq!(first.dots.len(), DOTS);
        assert!(first.dots[DOTS - 1].0 > first.tail.unwrap());
        assert!(
            first.group.is_some() && second.group.is_none(),
            "side by side"
        );
    }
}
