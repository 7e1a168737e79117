// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What came otherwise than the model says, and which known finding it is.

use std::fmt;

use crate::model::Hidden;

/// What came otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step returned while a pin was held that it had to wait for.
    Early,
    /// A step waited for a pin that has nothing to do with it, and returned after the release.
    Needless,
    /// A step did not return although no pin was held any more. The functions in which it sleeps,
    /// the innermost first.
    Hang(Vec<String>),
    /// The guest's kernel complained: in this function.
    Complaint(String),
    /// Bytes are wrong.
    Bytes,
    /// A size is wrong.
    Size,
    /// A call failed with this error, or, if it had to fail, with none.
    Errno(Option<i32>),
    /// An actor was ended by a signal.
    Killed,
    /// The guest's kernel panicked, after a complaint in this function.
    Panic(String),
    /// QEMU ended, and said this.
    VmDied(String),
}

/// A deviation from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// What came otherwise.
    pub kind: Kind,
    /// The word of the step that it came of.
    pub verb: &'static str,
    /// The step, counted from 1; one more than there are is the end of the program.
    pub step: usize,
    /// The observation in words.
    pub detail: String,
    pub(crate) circumstances: Circumstances,
}

/// What the model knows of the pins and the step that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// What may have hidden a pin that is concerned.
    pub(crate) hidden: Hidden,
    /// A pinned page was accessed while the step waited for it.
    pub(crate) refaulted: bool,
}

/// Functions that check lists.
const LISTS: &str = "__list_";
/// Functions that complain of a page in use, or of one that is mapped.
const DROPPED: [&str; 2] = [
    "dax_disassociate_entry",
    "truncate_folio_batch_exceptionals",
];

impl Deviation {
    /// A guest that was lost, in the step of this number and word.
    #[must_use]
    pub fn of_guest(kind: Kind, (step, verb): (usize, &'static str), detail: String) -> Self {
        Self {
            kind,
            verb,
            step,
            detail,
            circumstances: Circumstances::default(),
        }
    }

    /// What it has in common with others of the same cause.
    pub fn signature(&self) -> String {
        let verb = self.verb;
        let base = match &self.kind {
            Kind::Early => format!("early {verb}"),
            Kind::Needless => format!("needless wait of {verb}"),
            Kind::Hang(functions) => {
                let place = functions.iter().find(|name| !is_general(name));
                let place = place.map_or("", String::as_str);
                format!("hang of {verb} in {place}")
            }
            Kind::Complaint(function) => format!("complaint of {function} at {verb}"),
            Kind::Bytes => format!("wrong bytes after {verb}"),
            Kind::Size => format!("wrong size after {verb}"),
            Kind::Errno(Some(errno)) => format!("error {errno} of {verb}"),
            Kind::Errno(None) => format!("no error of {verb}"),
            Kind::Killed => format!("{verb} killed"),
            Kind::Panic(function) => format!("panic in {function}"),
            Kind::VmDied(_) => "end of QEMU".to_owned(),
        };
        match self.finding() {
            Some(finding) => format!("{finding}: {base}"),
            None => base,
        }
    }

    /// The number or letter of the section of `tests/cases/docs/findings.md` that it belongs to.
    pub fn finding(&self) -> Option<&'static str> {
        let Circumstances { hidden, refaulted } = self.circumstances;
        let hidden = || match hidden {
            Hidden { copied: true, .. } => Some("17"),
            Hidden { reopened: true, .. } => Some("14"),
            Hidden { unmapped: true, .. } => Some("2"),
            Hidden { changed: true, .. } => Some("14a"),
            _ => None,
        };
        match (&self.kind, self.verb) {
            (Kind::Panic(function), _) if function.starts_with(LISTS) => Some("5"),
            (Kind::Complaint(function), _) if function.starts_with(LISTS) => Some("5"),
            (Kind::Complaint(function), verb) if DROPPED.contains(&function.as_str()) => match verb
            {
                "copy" => Some("17"),
                "reopen" => Some("C"),
                "truncate" | "o-trunc" | "punch" | "zero" | "collapse" | "sweep" => hidden(),
                "exit" | "close" | "unmap" | "unlink" | "rename-over" | "drop-caches" => Some("4"),
                _ => None,
            },
            (Kind::Early, _) => hidden(),
            (Kind::Hang(functions), "exit")
                if functions
                    .iter()
                    .any(|name| name == "dax_break_layout_final") =>
            {
                Some("D")
            }
            (Kind::Hang(functions), _)
                if refaulted && functions.iter().any(|name| name == "dax_break_layout") =>
            {
                Some("B")
            }
            (Kind::VmDied(said), _) if said.contains("qemu_in_coroutine") => Some("G"),
            _ => None,
        }
    }
}

/// Functions that say only that a task sleeps.
fn is_general(name: &str) -> bool {
    let name = name.split('.').next().unwrap_or(name);
    matches!(
        name,
        "schedule" | "__schedule" | "schedule_timeout" | "schedule_preempt_disabled"
    )
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, step {}: {}",
            self.signature(),
            self.step,
            self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(kind: Kind, verb: &'static str) -> Deviation {
        Deviation {
            kind,
            verb,
            step: 1,
            detail: String::new(),
            circumstances: Circumstances::default(),
        }
    }

    fn with(kind: Kind, hidden: Hidden) -> Option<&'static str> {
        let circumstances = Circumstances {
            hidden,
            refaulted: false,
        };
        let deviation = Deviation {
            circumstances,
            ..deviation(kind, "truncate")
        };
        deviation.finding()
    }

    #[test]
    fn an_early_return_is_known_by_what_hid_the_pin() {
        let none = Hidden::default();
        let copied = Hidden {
            copied: true,
            ..none
        };
        let reopened = Hidden {
            reopened: true,
            ..none
        };
        let unmapped = Hidden {
            unmapped: true,
            ..none
        };
        assert_eq!(with(Kind::Early, none), None);
        assert_eq!(with(Kind::Early, copied), Some("17"));
        assert_eq!(with(Kind::Early, reopened), Some("14"));
        assert_eq!(with(Kind::Early, unmapped), Some("2"));
        let changed = Hidden {
            changed: true,
            ..none
        };
        assert_eq!(with(Kind::Early, changed), Some("14a"));
        // Nothing excuses other bytes.
        assert_eq!(with(Kind::Bytes, copied), None);
    }

    #[test]
    fn a_hang_is_known_by_its_place_and_by_what_came_before() {
        let hang = |function: &str| Kind::Hang(vec!["schedule".into(), function.into()]);
        let mut found = deviation(hang("dax_break_layout"), "punch");
        assert_eq!(found.finding(), None);
        assert_eq!(found.signature(), "hang of punch in dax_break_layout");
        found.circumstances.refaulted = true;
        assert_eq!(found.finding(), Some("B"));
        found.kind = hang("ext4_break_layouts");
        assert_eq!(found.finding(), None);
        let exit = deviation(hang("dax_break_layout_final"), "exit");
        assert_eq!(exit.finding(), Some("D"));
    }

    #[test]
    fn a_complaint_is_known_by_its_function_and_the_step() {
        let of = |function: &str, verb| deviation(Kind::Complaint(function.into()), verb).finding();
        assert_eq!(of("dax_disassociate_entry", "reopen"), Some("C"));
        assert_eq!(of("dax_disassociate_entry", "copy"), Some("17"));
        assert_eq!(of("dax_disassociate_entry", "load"), None);
        assert_eq!(of("iput", "copy"), None);
        let lists = Kind::Panic("__list_del_entry_valid_or_report".into());
        assert_eq!(deviation(lists, "end").finding(), Some("5"));
    }
}
