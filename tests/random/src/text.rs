// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A program as text: one line for the file system, one for each file, one for each step.
//!
//! ```text
//! fs fuse
//! maps part
//! file a 9
//! A pin a 3 vmsplice
//! B truncate a 0
//! A release
//! ```

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

use dax_cases::cases::Pin;
use dax_cases::host::FileSystem;
use guest_agent::removals::RangeMode;

use crate::program::{Act, Actor, FileId, MapSize, Program, Step, Who};

/// A line is no part of a program.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the program: {why}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Actor(actor) => actor.name(),
            Who::Host => "host",
        };
        write!(f, "{who} {}", self.act.verb())?;
        if let Some(file) = self.act.file() {
            write!(f, " {}", file.letter())?;
        }
        match self.act {
            Act::Load { page, .. } | Act::Store { page, .. } => write!(f, " {page}"),
            Act::Pin { page, pin, .. } => write!(f, " {page} {}", pin.name()),
            Act::Truncate { pages, .. } => write!(f, " {pages}"),
            Act::Range { page, count, .. } | Act::Write { page, count, .. } => {
                write!(f, " {page} {count}")
            }
            Act::Copy {
                from, page, count, ..
            } => write!(f, " {page} {count} {}", from.letter()),
            Act::Sweep { range, count, .. } => write!(f, " {range} {count}"),
            Act::RenameOver { from, .. } => write!(f, " {}", from.letter()),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let maps = match self.maps {
            MapSize::Part => "part",
            MapSize::Whole => "whole",
        };
        writeln!(f, "fs {}\nmaps {maps}", self.fs)?;
        for (index, ranges) in (0..).zip(&self.files) {
            writeln!(f, "file {} {ranges}", FileId(index).letter())?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Program {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut program = Self {
            fs: FileSystem::Fuse,
            files: Vec::new(),
            maps: MapSize::Part,
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let failed = |why| ParseError {
                    line: index + 1,
                    why,
                };
                program.take(line).map_err(failed)?;
            }
        }
        Ok(program)
    }
}

impl Program {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let mut words = Words(line.split_whitespace());
        match words.next()? {
            "fs" => {
                let fs = words.next()?.parse::<FileSystem>();
                self.fs = fs.map_err(|error| error.to_string())?;
            }
            "maps" => {
                self.maps = match words.next()? {
                    "part" => MapSize::Part,
                    "whole" => MapSize::Whole,
                    other => return Err(format!("{other:?} is neither part nor whole")),
                }
            }
            "file" => {
                let file = words.file()?;
                if file.index() != self.files.len() {
                    return Err("files are a, b, … in this order".to_owned());
                }
                self.files.push(words.number()?);
            }
            who => {
                let step = words.step(who)?;
                self.steps.push(step);
            }
        }
        match words.0.next() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }
}

/// The words of a line that are still to be read.
struct Words<'t>(SplitWhitespace<'t>);

impl<'t> Words<'t> {
    fn next(&mut self) -> Result<&'t str, String> {
        self.0.next().ok_or_else(|| "a word is missing".to_owned())
    }

    fn number(&mut self) -> Result<u64, String> {
        let word = self.next()?;
        word.parse().map_err(|_| format!("{word:?} is no number"))
    }

    fn file(&mut self) -> Result<FileId, String> {
        match self.next()?.as_bytes() {
            [letter @ b'a'..=b'z'] => Ok(FileId(letter - b'a')),
            _ => Err("a file is a letter from a to z".to_owned()),
        }
    }

    fn pin(&mut self) -> Result<Pin, String> {
        let word = self.next()?;
        let found = Pin::ALL.into_iter().find(|pin| pin.name() == word);
        found.ok_or_else(|| format!("{word:?} is no pin; `daxlab list` has their names"))
    }

    fn range(&mut self, mode: RangeMode) -> Result<Act, String> {
        Ok(Act::Range {
            file: self.file()?,
            mode,
            page: self.number()?,
            count: self.number()?,
        })
    }

    fn step(&mut self, who: &str) -> Result<Step, String> {
        let actor = Actor::ALL.into_iter().find(|actor| actor.name() == who);
        let who = match actor {
            Some(actor) => Who::Actor(actor),
            None if who == "host" => Who::Host,
            None => {
                return Err(format!(
                    "{who:?} begins no line: use fs, maps, file, host, A, B or C"
                ));
            }
        };
        let act = match self.next()? {
            "load" => Act::Load {
                file: self.file()?,
                page: self.number()?,
            },
            "store" => Act::Store {
                file: self.file()?,
                page: self.number()?,
            },
            "pin" => Act::Pin {
                file: self.file()?,
                page: self.number()?,
                pin: self.pin()?,
            },
            "release" => Act::Release,
            "truncate" => Act::Truncate {
                file: self.file()?,
                pages: self.number()?,
            },
            "o-trunc" => Act::OpenTruncate { file: self.file()? },
            "reserve" => self.range(RangeMode::Reserve)?,
            "punch" => self.range(RangeMode::Punch)?,
            "zero" => self.range(RangeMode::Zero)?,
            "collapse" => self.range(RangeMode::Collapse)?,
            "insert" => self.range(RangeMode::Insert)?,
            "copy" => {
                let file = self.file()?;
                let (page, count) = (self.number()?, self.number()?);
                let from = self.file()?;
                Act::Copy {
                    file,
                    from,
                    page,
                    count,
                }
            }
            "write" => Act::Write {
                file: self.file()?,
                page: self.number()?,
                count: self.number()?,
            },
            "sweep" => Act::Sweep {
                file: self.file()?,
                range: self.number()?,
                count: self.number()?,
            },
            "sync" => Act::Sync { file: self.file()? },
            "reopen" => Act::Reopen { file: self.file()? },
            "close" => Act::Close { file: self.file()? },
            "unmap" => Act::Unmap { file: self.file()? },
            "unlink" => Act::Unlink { file: self.file()? },
            "rename-over" => Act::RenameOver {
                file: self.file()?,
                from: self.file()?,
            },
            "stat" => Act::Stat { file: self.file()? },
            "drop-caches" => Act::DropCaches,
            "fork" => Act::Fork,
            "reap" => Act::Reap,
            "exit" => Act::Exit,
            "nudge" => Act::Nudge,
            other => return Err(format!("{other:?} is no step")),
        };
        Ok(Step { who, act })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::{draw, sound};

    #[test]
    fn a_program_is_read_as_it_was_written() {
        for index in 0..200 {
            let program = draw(1, index, None);
            let text = program.to_string();
            assert_eq!(text.parse::<Program>().unwrap(), program, "{text}");
        }
    }

    #[test]
    fn what_has_been_found_can_be_played_again() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let programs = files.map(|file| fs::read_to_string(file.path()).unwrap());
        let programs: Vec<Program> = programs.map(|text| text.parse().unwrap()).collect();
        assert!(!programs.is_empty());
        for program in programs {
            assert_eq!(sound(&program), program, "{program}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line, why) in [
            ("fs fuse\nD load a 3", 2, "begins no line"),
            ("A load a", 1, "missing"),
            ("A load a 3 4", 1, "too much"),
            ("A load a x", 1, "no number"),
            ("A pin a 3 glue", 1, "daxlab list"),
            ("# a remark\n\nfile b 1", 3, "in this order"),
            ("A melt a", 1, "no step"),
        ] {
            let error = text.parse::<Program>().unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.why.contains(why), "{error}");
        }
    }
}
