// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The report of a benchmark in one form, from which the text for a terminal, the numbers of a
//! document, and the page are made.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    Head, Target,
    page::{Top, page},
    plot::{Curves, Strips},
    table::Table,
    targets::tally,
    text::one_line,
};

/// The content of a report.
pub struct Sheet<'a> {
    /// The command, such as `daxlab bench`.
    pub command: &'static str,
    /// The head of the run.
    pub head: &'a Head,
    /// The settings of the measurement, in one line.
    pub settings: String,
    /// The sides that were compared.
    pub sides: Vec<Line>,
    /// How to read the numbers.
    pub notes: String,
    /// The line that ends the numbers in a document.
    pub end: &'static str,
    /// The sections with the numbers.
    pub sections: Vec<Section>,
    /// All targets.
    pub targets: Vec<&'a Target>,
}

/// A side, its description, and its daemon's command line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its description.
    pub about: String,
    /// The daemon's command line; empty if there is none.
    pub command: String,
}

/// A section of a report. Parts that it lacks are empty.
#[derive(Debug, Default, Serialize)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Lines of text.
    pub list: Vec<String>,
    /// A table.
    pub table: Option<Table>,
    /// Plots of strips, for a page only.
    pub strips: Vec<Strips>,
    /// Plots of curves, for a page only.
    pub curves: Vec<Curves>,
    /// Where it is shown.
    #[serde(skip)]
    pub place: Place,
}

/// Where a section is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    #[default]
    All,
    /// On a terminal and on the page.
    Shown,
    /// In documents.
    Document,
    /// On the page only, because it consists of plots.
    Page,
}

/// The data of the template.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    top: Top<'a>,
    sides: &'a [Line],
    notes: &'a str,
    sections: Vec<&'a Section>,
}

impl Sheet<'_> {
    /// The text for a terminal.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} {}\n{}",
            self.command,
            self.head.lab_version,
            self.about()
        );
        for Line { name, about, .. } in &self.sides {
            let _ = writeln!(out, "  {}", one_line(&format!("{name}: {about}")));
        }
        for section in self.at(&[Place::All, Place::Shown]) {
            let _ = writeln!(out, "\n{}", section.title);
            for line in &section.list {
                let _ = writeln!(out, "{}", one_line(line));
            }
            out.extend(section.table.as_ref().map(Table::columns));
        }
        let _ = writeln!(out, "\n{}", self.summary().0);
        out
    }

    /// The document with this run's numbers in place of the earlier ones. They are Markdown between
    /// two marker lines, and people write the rest. `None` if the document has no such lines.
    pub fn with_numbers(&self, document: &str) -> Option<String> {
        let begin = format!(
            "<!-- numbers of `{}`, made by it: change nothing here -->",
            self.command
        );
        let mut numbers = self.about();
        let _ = writeln!(numbers, "\n{}.", self.summary().0);
        for section in self.at(&[Place::All, Place::Document]) {
            let _ = writeln!(numbers, "\n### {}\n", section.title);
            for line in &section.list {
                let _ = writeln!(numbers, "- {line}");
            }
            numbers.extend(section.table.as_ref().map(Table::markdown));
        }
        let (before, rest) = document.split_once(&begin)?;
        let (_, after) = rest.split_once(self.end)?;
        Some(format!("{before}{begin}\n{numbers}{}{after}", self.end))
    }

    /// Makes the page.
    ///
    /// # Errors
    ///
    /// If the template does not fit its data, which the tests would notice.
    pub fn page(&self) -> Result<String, minijinja::Error> {
        let (summary, good) = self.summary();
        let mut lines = self.head.lines();
        lines.push(("measured", self.settings.clone()));
        let top = Top {
            title: self.command,
            version: &self.head.lab_version,
            summary: &summary,
            state: if good { "good" } else { "known" },
            command: &self.head.command,
            lines,
        };
        let view = View {
            top,
            sides: &self.sides,
            notes: &self.notes,
            sections: self.at(&[Place::All, Place::Shown, Place::Page]).collect(),
        };
        page(include_str!("page/sheet.html"), view)
    }

    fn at(&self, places: &[Place]) -> impl Iterator<Item = &Section> {
        let sections = self.sections.iter();
        sections.filter(move |section| places.contains(&section.place))
    }

    /// A summary of the targets, and whether none is missed.
    fn summary(&self) -> (String, bool) {
        let (text, good) = tally(self.targets.iter().copied());
        match self.targets.is_empty() {
            true => ("no targets".to_owned(), true),
            false => (format!("targets: {text}"), good),
        }
    }

    /// The lines above the numbers.
    fn about(&self) -> String {
        let lines = self.head.lines().into_iter();
        let lines = lines.map(|(name, text)| format!("{name}: {}\n", one_line(&text)));
        lines.collect::<String>() + &format!("measured: {}\n", self.settings)
    }
}
