// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tables: columns of text for a terminal, Markdown for documents, and cells for a page.

use serde::Serialize;

use crate::{
    Target, Verdict,
    text::{one_line, width},
};

/// A table of a report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// The heads of the columns.
    pub head: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// How many of the last columns are shown on a page only.
    pub wide: usize,
}

/// A row of a table.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", content = "of", rename_all = "kebab-case")]
pub enum Row {
    /// A name for the rows below, and its description.
    Group(String, String),
    /// A cell for each column.
    Cells(Vec<String>),
    /// A text without a column.
    Note(String),
    /// A target, its verdict, and the verdict's class.
    Target(String, &'static str, &'static str),
}

impl From<&Target> for Row {
    fn from(target: &Target) -> Self {
        let verdict = target.verdict;
        Self::Target(target.to_string(), verdict.name(), verdict.tone())
    }
}

impl Table {
    /// A table with this head and without rows.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Adds rows of cells.
    #[must_use]
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.rows.extend(rows.into_iter().map(Row::Cells));
        self
    }

    fn has_groups(&self) -> bool {
        self.rows.iter().any(|row| matches!(row, Row::Group(..)))
    }

    /// The text for a terminal. Columns are as wide as necessary, and all but the first are aligned
    /// to the right.
    pub(crate) fn columns(&self) -> String {
        let shown = self.head.len() - self.wide;
        let indent = if self.has_groups() { "  " } else { "" };
        let cells = |cells: &[String]| -> Vec<String> {
            let mut cells: Vec<_> = cells
                .iter()
                .take(shown)
                .map(|cell| one_line(cell))
                .collect();
            if let Some(first) = cells.first_mut() {
                first.insert_str(0, indent);
            }
            cells
        };
        let mut lines = Vec::new();
        if self.head.iter().any(|cell| !cell.is_empty()) {
            let mut head = cells(&self.head);
            head[0].clone_from(&self.head[0]);
            lines.push(Ok(head));
        }
        lines.extend(self.rows.iter().map(|row| match row {
            Row::Cells(row) => Ok(cells(row)),
            Row::Group(name, about) => Err(format!("{name}: {about}")),
            Row::Note(note) => Err(format!("      {note}")),
            Row::Target(text, verdict, _) => {
                let missed = *verdict == Verdict::Missed.name();
                Err(format!(
                    "    {text} {verdict}{}",
                    if missed { "!" } else { "" }
                ))
            }
        }));
        let mut widths = vec![0; shown];
        for row in lines.iter().flatten() {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = width(cell).max(*wide);
            }
        }
        let aligned = |row: Vec<String>| {
            let cells = widths.iter().zip(&row).enumerate();
            let cells = cells.map(|(at, (wide, cell))| {
                let room = " ".repeat(wide - width(cell));
                match at {
                    0 => format!("{cell}{room}"),
                    _ => format!("  {room}{cell}"),
                }
            });
            cells.collect::<String>()
        };
        let lines = lines.into_iter().map(|line| {
            let line = line.map_or_else(|text| one_line(&text), aligned);
            format!("{}\n", line.trim_end())
        });
        lines.collect()
    }

    /// The Markdown for a document. A group's name becomes a column; notes and targets are left
    /// out.
    pub(crate) fn markdown(&self) -> String {
        let shown = self.head.len() - self.wide;
        let groups = self.has_groups();
        let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
        let row = |group: &str, cells: &[String]| {
            let cells = cells.iter().take(shown).map(String::as_str);
            let cells: Vec<&str> = groups.then_some(group).into_iter().chain(cells).collect();
            line(&cells)
        };
        let mut out = row("point", &self.head);
        out += &line(&vec!["---"; shown + usize::from(groups)]);
        let mut group = "";
        for one in &self.rows {
            match one {
                Row::Group(name, _) => group = name,
                Row::Cells(cells) => out += &row(std::mem::take(&mut group), cells),
                Row::Note(_) | Row::Target(..) => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, stats::Estimate};

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["side", "a", "b", "only on a page"]);
        table.wide = 1;
        table
            .rows
            .push(Row::Group("point".into(), "what\nit is".into()));
        let rows = [["daxd", "1.00 ×", "x", ""], ["日本語", "12345", "", ""]];
        table = table.with(rows.map(|row| row.map(str::to_owned).into()));
        table.rows.push(Row::Note("a note".into()));
        for bound in [Bound::AtLeast(2.0), Bound::AtMost(2.0)] {
            let target = Target::new("daxd", "rate", bound, Estimate::exact(1.0));
            table.rows.push(Row::from(&target));
        }
        let shown = "\
side           a  b
point: what it is
  daxd    1.00 ×  x
  日本語   12345
      a note
    daxd: rate ≥ 2: 1.00 [1.00 1.00] missed!
    daxd: rate ≤ 2: 1.00 [1.00 1.00] met
";
        assert_eq!(table.columns(), shown);
        let document = "\
| point | side | a | b |
| --- | --- | --- | --- |
| point | daxd | 1.00 × | x |
|  | 日本語 | 12345 |  |
";
        assert_eq!(table.markdown(), document);
    }
}
