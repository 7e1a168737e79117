// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A table that is split into bands if it is too wide.

use crate::{
    colour::{Colour, Tone},
    text,
};

/// The width of all reports.
pub const WIDTH: usize = 100;
/// The width of a row's name.
const NAME: usize = 30;
/// Between columns of one removal, and between removals.
const GAP: [usize; 2] = [1, 2];

/// The text and the tone of a cell.
pub type Entry = (String, Tone);

/// A column.
#[derive(Debug)]
pub struct Column {
    pub head: Vec<String>,
    /// Whether a wider gap precedes it.
    pub apart: bool,
    pub entries: Vec<Option<Entry>>,
}

impl Column {
    fn width(&self) -> usize {
        let entries = self.entries.iter().flatten().map(|(text, _)| text);
        let texts = self.head.iter().chain(entries);
        // An entry is a word, a mark and a count, which is never wider than a row's space.
        texts.map(|text| text::width(text)).max().unwrap_or(0)
    }

    fn gap(&self) -> usize {
        GAP[usize::from(self.apart)]
    }
}

/// Named rows, and columns with an entry for each.
#[derive(Debug)]
pub struct Table {
    pub rows: Vec<String>,
    pub columns: Vec<Column>,
}

impl Table {
    /// Whether the table fits without bands.
    pub fn fits(&self) -> bool {
        let columns: usize = self.columns.iter().map(|c| c.gap() + c.width()).sum();
        self.name_width() + columns <= WIDTH
    }

    /// The lines of the table, in as many bands as necessary. A row without an entry is left out of
    /// a band.
    pub fn render(&self, colour: Colour, out: &mut String) {
        let mut rest = &self.columns[..];
        while !rest.is_empty() {
            let mut taken = self.name_width();
            let fitting = rest.iter().take_while(|column| {
                taken += column.gap() + column.width();
                taken <= WIDTH
            });
            let (band, after) = rest.split_at(fitting.count().max(1));
            self.band(band, colour, out);
            rest = after;
            if !rest.is_empty() {
                out.push('\n');
            }
        }
    }

    fn name_width(&self) -> usize {
        let widths = self.rows.iter().map(|row| text::width(row).min(NAME));
        widths.max().unwrap_or(0)
    }

    fn band(&self, band: &[Column], colour: Colour, out: &mut String) {
        let lines = band.iter().map(|column| column.head.len()).max();
        let lines = lines.unwrap_or(0);
        for line in 0..lines {
            let at = |column: &Column| (line + column.head.len()).checked_sub(lines);
            let texts = band.iter().map(|column| {
                let text = column.head.get(at(column)?)?;
                Some((text.clone(), Tone::Dim))
            });
            self.line("", band, texts, colour, out);
        }
        for (row, name) in self.rows.iter().enumerate() {
            let entries = band.iter().map(|column| column.entries[row].clone());
            if entries.clone().any(|entry| entry.is_some()) {
                let entries = entries.map(|entry| entry.or_else(|| Some((".".into(), Tone::Dim))));
                self.line(name, band, entries, colour, out);
            }
        }
    }

    fn line(
        &self,
        name: &str,
        band: &[Column],
        entries: impl Iterator<Item = Option<Entry>>,
        colour: Colour,
        out: &mut String,
    ) {
        out.push_str(&text::clip(name, NAME));
        let mut column = text::width(&text::clip(name, NAME));
        let mut wanted = self.name_width();
        for (place, entry) in band.iter().zip(entries) {
            wanted += place.gap();
            if let Some((text, tone)) = entry {
                out.extend(std::iter::repeat_n(' ', wanted - column));
                column = wanted + text::width(&text);
                colour.push(tone, &text, out);
            }
            wanted += place.width();
        }
        out.push('\n');
    }
}
