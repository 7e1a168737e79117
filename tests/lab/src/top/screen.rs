// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Draws a look on a screen of any size.
//!
//! ```text
//!  head, totals
//!  ranges         as many lines as it takes, at most half of the screen
//!  files │ rates
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline};

use super::address::Address;
use super::grid::{Cell, cells, files, letter};
use super::history::{Counted, History};
use super::numbers::{age, bytes, rate};
use super::seen::{Seen, Window};
use super::text::totals;

/// Colours that dark and light terminals have, and that are easy to tell apart.
const COLOURS: [Color; 6] = [
    Color::Blue,
    Color::Green,
    Color::Magenta,
    Color::Cyan,
    Color::Yellow,
    Color::Red,
];
/// Lines of the head.
const HEAD: u16 = 4;
/// The least number of lines for files and rates.
const FOOT: u16 = 9;
/// From this width on, the rates are beside the files.
const WIDE: u16 = 60;

/// The content of the screen.
#[derive(Debug)]
pub struct Screen {
    /// The daemon's address.
    pub address: Address,
    /// Whether colours are used.
    pub colours: bool,
    /// The last look.
    pub seen: Option<Seen>,
    /// The earlier looks.
    pub history: History,
    /// The reason why there is no newer look, if there is one.
    pub trouble: Option<String>,
}

impl Screen {
    /// Draws the whole screen.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let Some(seen) = &self.seen else {
            return frame.render_widget(Paragraph::new(self.title("")), area);
        };
        let up = format!("up {}", age(seen.now_ms));
        let cells = seen.window.as_ref().map(cells).unwrap_or_default();
        let inner = usize::from(area.width.saturating_sub(2).max(1));
        let wide = cells.len() * 2 <= inner * 8;
        let line = if wide { inner / 2 } else { inner }.max(1);
        let needed = u16::try_from(cells.len().div_ceil(line)).unwrap_or(u16::MAX);
        let most = (area.height / 2).max(area.height.saturating_sub(HEAD + FOOT + 2));
        let ranges = needed.saturating_add(2).min(most);
        let [head, middle, foot] = Layout::vertical([
            Constraint::Length(HEAD),
            Constraint::Length(ranges),
            Constraint::Min(0),
        ])
        .areas(area);
        let mut lines = vec![self.title(&up)];
        lines.extend(totals(seen).into_iter().map(Line::from));
        frame.render_widget(Paragraph::new(lines), head);
        self.draw_ranges(frame, middle, &cells, line, wide);
        self.draw_foot(frame, foot, seen.window.as_ref());
    }

    fn title(&self, up: &str) -> Line<'_> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let state = match &self.trouble {
            None if self.seen.is_none() => Span::raw("asking …"),
            None => Span::styled("live", self.coloured(Color::Green)),
            Some(trouble) => Span::styled(
                format!("daemon gone: {trouble}"),
                self.coloured(Color::Red).add_modifier(Modifier::BOLD),
            ),
        };
        Line::from(vec![
            Span::styled("virtiofs-daxd ", bold),
            Span::raw(format!("{}  {up}  q quits  ", self.address)),
            state,
        ])
    }

    fn draw_ranges(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        cells: &[Cell],
        line: usize,
        wide: bool,
    ) {
        let title = match cells.len() {
            0 => " no window ".to_owned(),
            count => format!(" {count} ranges, a letter for each file "),
        };
        let room = usize::from(area.height.saturating_sub(2)) * line;
        let hidden = cells.len().saturating_sub(room);
        let mut block = Block::new().borders(Borders::ALL).title(title);
        if hidden > 0 {
            block = block.title_bottom(format!(" {hidden} more do not fit "));
        }
        let lines = cells[..cells.len() - hidden].chunks(line);
        let lines: Vec<_> = lines
            .map(|line| {
                let spans = line.iter().map(|cell| {
                    let text = if wide {
                        format!("{0}{0}", cell.letter)
                    } else {
                        cell.letter.to_string()
                    };
                    Span::styled(text, self.cell_style(cell))
                });
                Line::from_iter(spans)
            })
            .collect();
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn cell_style(&self, cell: &Cell) -> Style {
        match cell.file {
            Some(file) if self.colours => Style::new()
                .fg(Color::Black)
                .bg(COLOURS[file % COLOURS.len()]),
            Some(_) => Style::new(),
            None => Style::new().add_modifier(Modifier::DIM),
        }
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect, window: Option<&Window>) {
        let shares = match area.width {
            WIDE.. => [Constraint::Fill(1), Constraint::Length(30)],
            _ => [Constraint::Fill(1), Constraint::Length(0)],
        };
        let [left, right] = Layout::horizontal(shares).areas(area);
        self.draw_files(frame, left, window);
        self.draw_rates(frame, right);
    }

    fn draw_files(&self, frame: &mut Frame<'_>, area: Rect, window: Option<&Window>) {
        let block = Block::new().borders(Borders::ALL).title(" mapped files ");
        let files = window.map(files).unwrap_or_default();
        let lines = files.iter().map(|mapped| {
            let colour = COLOURS[mapped.place % COLOURS.len()];
            let numbers = format!(
                " {:>4} {:>8} {:>3} written  ",
                mapped.ranges,
                bytes(mapped.bytes as f64),
                mapped.written
            );
            Line::from(vec![
                Span::styled(letter(mapped.place).to_string(), self.coloured(colour)),
                Span::raw(numbers),
                Span::raw(mapped.file.name()),
            ])
        });
        let mut lines: Vec<_> = lines.collect();
        if lines.is_empty() {
            lines.push(Line::from("nothing is mapped"));
        }
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn draw_rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::new().borders(Borders::ALL).title(" a second ");
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let rows = Layout::vertical([Constraint::Fill(1); Counted::ALL.len()]).split(inner);
        for (counted, row) in Counted::ALL.into_iter().zip(rows.iter()) {
            self.draw_rate(frame, *row, counted);
        }
    }

    fn draw_rate(&self, frame: &mut Frame<'_>, area: Rect, counted: Counted) {
        let [name, plot] =
            Layout::horizontal([Constraint::Length(15), Constraint::Fill(1)]).areas(area);
        let rates = self.history.rates(counted);
        let last = rates.last().copied().unwrap_or(0.0);
        let text = match counted {
            Counted::Maps => format!("maps {}", rate(last)),
            Counted::Unmaps => format!("unmaps {}", rate(last)),
            Counted::Requests => format!("reqs {}", rate(last)),
            Counted::Bytes => format!("FUSE {}", bytes(last)),
        };
        frame.render_widget(Paragraph::new(text), name);
        let shown = rates.len().saturating_sub(usize::from(plot.width));
        let data = rates[shown..].iter().map(|rate| rate.ceil() as u64);
        let line = Sparkline::default()
            .data(data)
            .style(self.coloured(Color::Blue));
        frame.render_widget(line, plot);
    }

    fn coloured(&self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }
}

#[cfg(test)]
mod tests;
