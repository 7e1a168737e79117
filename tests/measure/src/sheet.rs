// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The report of a benchmark, written once: as text for a terminal, as the numbers of a document, and
//! as a page.

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

/// What is told of a run.
pub struct Sheet<'a> {
    /// The command, such as `daxlab bench`.
    pub command: &'static str,
    /// What every run has.
    pub head: &'a Head,
    /// How it was measured, in a line.
    pub settings: String,
    /// What was compared.
    pub sides: Vec<Line>,
    /// How the numbers are to be read.
    pub notes: String,
    /// The line of a document behind the numbers.
    pub end: &'static str,
    /// The numbers.
    pub sections: Vec<Section>,
    /// All targets.
    pub targets: Vec<&'a Target>,
}

/// A side, its words, and its daemon's command line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// The daemon's command line; empty if there is none.
    pub command: String,
}

/// A part of a report: what it does not have is empty.
#[derive(Debug, Default, Serialize)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Lines of text.
    pub list: Vec<String>,
    /// A table.
    pub table: Option<Table>,
    /// Plots of strips, which only a page has.
    pub strips: Vec<Strips>,
    /// Plots of curves, which only a page has.
    pub curves: Vec<Curves>,
    /// Where it stands.
    #[serde(skip)]
    pub place: Place,
}

/// Where a section stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    #[default]
    All,
    /// At a terminal and on the page.
    Shown,
    /// In documents.
    Document,
    /// On the page, since it is plots.
    Page,
}

/// What the template shows.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    top: Top<'a>,
    sides: &'a [Line],
    notes: &'a str,
    sections: Vec<&'a Section>,
}

impl Sheet<'_> {
    /// For a terminal.
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

    /// The document with the run's numbers in place of those that it has: Markdown between two
    /// lines, around which people write. None if it has no such lines.
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

    /// As a page.
    ///
    /// # Errors
    ///
    /// If the template does not fit its data, which the tests would see.
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

    /// How the targets are met, and whether none is missed.
    fn summary(&self) -> (String, bool) {
        let (text, good) = tally(self.targets.iter().copied());
        match self.targets.is_empty() {
            true => ("no targets".to_owned(), true),
            false => (format!("targets: {text}"), good),
        }
    }

    /// What stands above the numbers, a line each.
    fn about(&self) -> String {
        let lines = self.head.lines().into_iter();
        let lines = lines.map(|(name, text)| format!("{name}: {}\n", one_line(&text)));
        lines.collect::<String>() + &format!("measured: {}\n", self.settings)
    }
}
