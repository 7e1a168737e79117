// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tables: columns of text for a terminal, Markdown for documents.

use unicode_width::UnicodeWidthStr;

/// A row of a table for a terminal.
pub enum Row {
    /// A cell a column.
    Cells(Vec<String>),
    /// Text over all of them.
    Line(String),
}

/// Columns as wide as they have to be, all but the first to the right.
pub fn columns(rows: &[Row]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        if let Row::Cells(cells) = row {
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
    }
    let mut out = String::new();
    for row in rows {
        match row {
            Row::Line(line) => out.push_str(line),
            Row::Cells(cells) => {
                for (at, (width, cell)) in widths.iter().zip(cells).enumerate() {
                    let room = " ".repeat(width - cell.width());
                    match at {
                        0 => out.extend([cell.as_str(), &room]),
                        _ => out.extend(["  ", &room, cell.as_str()]),
                    }
                }
            }
        }
        out.push('\n');
    }
    out
}

/// A table of a document.
pub fn markdown<T: AsRef<str>>(head: &[T], rows: &[Vec<String>]) -> String {
    fn line<T: AsRef<str>>(cells: &[T]) -> String {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        format!("| {} |\n", cells.join(" | "))
    }
    let mut out = line(head) + &line(&vec!["---"; head.len()]);
    out.extend(rows.iter().map(|row| line(row)));
    out
}
