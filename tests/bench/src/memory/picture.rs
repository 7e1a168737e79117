// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The run as a picture for a document, with a line for each side.
//!
//! Equal runs give equal pictures. The picture loads nothing. It can be read on white and on black:
//! it has no background, and its colours are medium.

use std::fmt::Write as _;

use super::{MemoryRun, Series};

/// The name of the file.
const NAME: &str = "memory.svg";
/// The colours of the lines, in the order of the sides.
const COLOURS: [&str; 4] = ["#1f883d", "#cf4a4a", "#b07d16", "#3f7fd9"];
/// The colour of text and axes.
const INK: &str = "#7d8590";
/// Width and height of the picture.
const SIZE: [f64; 2] = [640.0, 300.0];
/// The left, right, upper and lower ends of the plot.
const PLOT: [f64; 4] = [84.0, 490.0, 40.0, 250.0];
/// The least distance of two names.
const LINE: f64 = 17.0;
/// The most marks on the scale of bytes.
const MARKS: u64 = 6;

/// The memory over the number of guests, for the sides that read by the run's first way. Returns
/// the file's name and its text.
pub fn picture(run: &MemoryRun) -> (&'static str, String) {
    let access = run.series.first().map(|series| &series.access);
    let lines: Vec<&Series> = run
        .series
        .iter()
        .filter(|series| Some(&series.access) == access)
        .collect();
    let scale = Scale::of(&lines);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"{INK}\">\n",
        SIZE[0], SIZE[1], SIZE[0]
    );
    let title = format!(
        "Host memory that a file of {} MiB takes which each guest reads",
        run.file >> 20
    );
    text(&mut svg, [PLOT[0], 20.0], "start", INK, &title);
    axes(&mut svg, &scale);
    let mut names = Vec::new();
    for (series, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let places: Vec<[f64; 2]> = series
            .points
            .iter()
            .map(|point| scale.place(point.guests, point.grown.cost()))
            .collect();
        draw(&mut svg, &places, colour);
        if let Some([_, y]) = places.last() {
            names.push((*y, series.side.as_str(), *colour));
        }
    }
    for (y, name, colour) in apart(names) {
        text(&mut svg, [PLOT[1] + 12.0, y + 4.0], "start", colour, name);
    }
    svg.push_str("</svg>\n");
    (NAME, svg)
}

/// The scale of the plot.
struct Scale {
    guests: Vec<usize>,
    step: u64,
    top: u64,
}

impl Scale {
    fn of(lines: &[&Series]) -> Self {
        let points = || lines.iter().flat_map(|series| &series.points);
        let mut guests: Vec<usize> = points().map(|point| point.guests).collect();
        guests.sort_unstable();
        guests.dedup();
        let most = points().map(|point| point.grown.cost()).max().unwrap_or(0);
        let most = most.max(1).unsigned_abs();
        let step = most.div_ceil(MARKS).next_power_of_two();
        Self {
            guests,
            step,
            top: most.next_multiple_of(step),
        }
    }

    fn place(&self, guests: usize, bytes: i64) -> [f64; 2] {
        let [left, right, upper, lower] = PLOT;
        let most = self.guests.last().copied().unwrap_or(1) as f64;
        [
            left + guests as f64 / most * (right - left),
            lower - bytes as f64 / self.top as f64 * (lower - upper),
        ]
    }
}

fn axes(svg: &mut String, scale: &Scale) {
    let [left, right, _, lower] = PLOT;
    for bytes in (0..=scale.top).step_by(scale.step as usize) {
        let [_, y] = scale.place(0, bytes as i64);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {y:.1}H{right}\" stroke=\"{INK}\" stroke-opacity=\"0.35\"/>"
        );
        let mark = format!("{} MiB", bytes >> 20);
        text(svg, [left - 8.0, y + 4.0], "end", INK, &mark);
    }
    for guests in &scale.guests {
        let [x, _] = scale.place(*guests, 0);
        let mark = match guests {
            1 => "1 guest".to_owned(),
            more => more.to_string(),
        };
        text(svg, [x, lower + 22.0], "middle", INK, &mark);
    }
}

fn draw(svg: &mut String, places: &[[f64; 2]], colour: &str) {
    let path: Vec<String> = places
        .iter()
        .map(|[x, y]| format!("{x:.1} {y:.1}"))
        .collect();
    let _ = writeln!(
        svg,
        "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
        path.join("L")
    );
    for [x, y] in places {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
        );
    }
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, colour: &str, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
    );
}

/// Moves names apart so that each can be read, from the lowest one upwards.
fn apart<'a>(mut names: Vec<(f64, &'a str, &'a str)>) -> Vec<(f64, &'a str, &'a str)> {
    names.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut above = f64::INFINITY;
    for (y, ..) in &mut names {
        *y = y.min(above - LINE);
        above = *y;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::results::tests::{run, series};

    /// The centres of the circles of one colour.
    fn circles(svg: &str, colour: &str) -> Vec<[f64; 2]> {
        let of = |line: &str| {
            let rest = line.strip_prefix("<circle cx=\"")?;
            let (x, rest) = rest.split_once("\" cy=\"")?;
            let (y, rest) = rest.split_once('"')?;
            rest.contains(colour)
                .then(|| [x.parse().unwrap(), y.parse().unwrap()])
        };
        svg.lines().filter_map(of).collect()
    }

    #[test]
    fn a_line_rises_with_what_a_side_takes() {
        let (_, svg) = picture(&run());
        let [flat, rising] = [0, 1].map(|at| circles(&svg, COLOURS[at]));
        assert_eq!((flat.len(), rising.len()), (4, 4));
        for (flat, rising) in flat.windows(2).zip(rising.windows(2)) {
            assert!(flat[0][0] < flat[1][0]);
            assert!((flat[0][1] - flat[1][1]).abs() < 2.0, "{flat:?}");
            assert!(rising[1][1] < rising[0][1] - 15.0, "{rising:?}");
        }
        // One file's size for the host, and eight for the guests.
        let height = |at: usize| PLOT[3] - rising[at][1];
        assert!((height(3) / height(0) - 9.0 / 2.0).abs() < 0.05);
    }

    #[test]
    fn it_is_inside_itself_and_well_formed() {
        let mut run = run();
        run.series.push(series("<&>", "read", 0));
        let (_, svg) = picture(&run);
        // The name of the language is an address, from which nothing is loaded.
        let plain = svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
        let page = format!("<!DOCTYPE html><html><body>{plain}</body></html>");
        dax_measure::fixture::checked_page(&page);
        for colour in COLOURS.iter().take(3) {
            for [x, y] in circles(&svg, colour) {
                assert!((0.0..SIZE[0]).contains(&x) && (0.0..SIZE[1]).contains(&y));
            }
        }
        assert!(svg.contains("&lt;&amp;&gt;"), "{svg}");
        assert_eq!(picture(&run).1, svg);
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let placed = apart(vec![(100.0, "a", ""), (101.0, "b", ""), (99.0, "c", "")]);
        for pair in placed.windows(2) {
            assert!(pair[0].0 - pair[1].0 >= LINE, "{placed:?}");
        }
    }

    #[test]
    fn an_empty_run_is_a_picture_too() {
        let mut run = run();
        run.series.clear();
        assert!(picture(&run).1.ends_with("</svg>\n"));
    }
}
