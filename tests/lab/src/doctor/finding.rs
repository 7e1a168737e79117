// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One line of the report.

use std::{borrow::Cow, error::Error, fmt};

/// The consequence of a finding for `daxlab share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No problem.
    Ok,
    /// `share` runs, but with less or more slowly.
    Warn,
    /// `share` can't run.
    Fail,
    /// The check was not possible.
    Unknown,
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct Finding {
    subject: Cow<'static, str>,
    mark: Mark,
    found: String,
    details: Vec<String>,
    mend: Option<String>,
}

impl Finding {
    /// A finding without a problem.
    pub fn ok(subject: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Self {
        Self::new(subject, Mark::Ok, found.into())
    }

    /// A limitation.
    pub fn warn(subject: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Self {
        Self::new(subject, Mark::Warn, found.into())
    }

    /// A failure.
    pub fn fail(subject: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Self {
        Self::new(subject, Mark::Fail, found.into())
    }

    /// A check that was not possible, with the reason and the remedy.
    pub fn unknown(subject: &'static str, why: impl Into<String>, how: impl Into<String>) -> Self {
        Self::new(subject, Mark::Unknown, why.into()).mend(how)
    }

    /// A failure whose error names the remedy.
    pub fn error(subject: impl Into<Cow<'static, str>>, error: &(dyn Error + 'static)) -> Self {
        Self::fail(subject, chain(error))
    }

    /// Adds the remedy.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Adds a line of details.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    fn new(subject: impl Into<Cow<'static, str>>, mark: Mark, found: String) -> Self {
        Self {
            subject: subject.into(),
            mark,
            found,
            details: Vec::new(),
            mend: None,
        }
    }

    /// The consequence.
    pub fn mark(&self) -> Mark {
        self.mark
    }
}

/// An error with its causes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// `mark  subject  found`, then the details and the remedy, each on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Ok => "ok",
            Mark::Warn => "warn",
            Mark::Fail => "FAIL",
            Mark::Unknown => "?",
        };
        write!(f, "{mark:<5} {:<17} {}", self.subject, self.found)?;
        for detail in &self.details {
            write!(f, "\n{:23} {detail}", "")?;
        }
        let purpose = match self.mark {
            Mark::Unknown => "find out",
            _ => "mend it",
        };
        if let Some(mend) = &self.mend {
            write!(f, "\n{:23} to {purpose}: {mend}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_read_without_colour() {
        assert_eq!(
            Finding::ok("QEMU", "11.1").to_string(),
            "ok    QEMU              11.1"
        );
        let fail = Finding::fail("FUSE", "none").mend("load it").to_string();
        assert_eq!(fail.lines().count(), 2);
        assert!(fail.starts_with("FAIL  FUSE") && fail.ends_with("to mend it: load it"));
    }
}
