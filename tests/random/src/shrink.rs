// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes a program smaller while it still shows what it showed: first fewer steps (delta
//! debugging), then simpler ones.

use std::mem;

use dax_cases::cases::Pin;

use crate::model::sound;
use crate::program::{Act, Actor, MapSize, Program, Step, Who};

/// Proposes smaller programs, one at a time. The caller plays each and tells what came of it.
#[derive(Debug)]
pub struct Shrinker {
    best: Program,
    /// How many steps are left out at a time; 0 in the second part.
    chunk: usize,
    /// Where the next ones are left out, or which simplification comes next.
    at: usize,
    /// Whether a proposal of this round was taken.
    progress: bool,
}

impl Shrinker {
    /// Begins with a program that shows something.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let chunk = program.steps.len().div_ceil(2);
        Self {
            best: program,
            chunk,
            at: 0,
            progress: false,
        }
    }

    /// The smallest program so far.
    #[must_use]
    pub fn best(&self) -> &Program {
        &self.best
    }

    /// The next program to play; `None` if no smaller one is left to try.
    pub fn propose(&mut self) -> Option<Program> {
        while self.chunk > 0 {
            if self.at < self.best.steps.len() {
                let mut steps = self.best.steps.clone();
                let end = (self.at + self.chunk).min(steps.len());
                steps.drain(self.at..end);
                self.at += self.chunk;
                return Some(sound(&self.best.with_steps(steps)));
            }
            self.at = 0;
            if !mem::take(&mut self.progress) {
                self.chunk /= 2;
            }
        }
        loop {
            let simpler = simpler(&self.best);
            let Some(proposal) = simpler.get(self.at) else {
                if !mem::take(&mut self.progress) {
                    return None;
                }
                self.at = 0;
                continue;
            };
            self.at += 1;
            let proposal = sound(proposal);
            if proposal.steps.len() == self.best.steps.len() && proposal != self.best {
                return Some(proposal);
            }
        }
    }

    /// A proposal still shows what the first program showed.
    pub fn accept(&mut self, proposal: Program) {
        if self.chunk > 0 {
            // What followed the steps that are gone has their place now.
            self.at = self.at.saturating_sub(self.chunk);
            self.chunk = self.chunk.min(proposal.steps.len().max(1));
        }
        self.best = proposal;
        self.progress = true;
    }
}

/// Programs with one thing simpler.
fn simpler(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    if program.maps == MapSize::Whole {
        all.push(Program {
            maps: MapSize::Part,
            ..program.clone()
        });
    }
    for (index, ranges) in program.files.iter().enumerate() {
        for fewer in [1, ranges - 1] {
            if fewer > 0 && fewer < *ranges {
                let mut files = program.files.clone();
                files[index] = fewer;
                all.push(Program {
                    files,
                    ..program.clone()
                });
            }
        }
    }
    for (from, to) in [
        (Actor::C, Actor::B),
        (Actor::B, Actor::A),
        (Actor::C, Actor::A),
    ] {
        let steps = program.steps.iter().map(|step| Step {
            who: match step.who {
                Who::Actor(actor) if actor == from => Who::Actor(to),
                who => who,
            },
            ..*step
        });
        all.push(program.with_steps(steps.collect()));
    }
    for (index, step) in program.steps.iter().enumerate() {
        for act in simpler_acts(step.act) {
            let mut steps = program.steps.clone();
            steps[index].act = act;
            all.push(program.with_steps(steps));
        }
    }
    all
}

fn simpler_acts(act: Act) -> Vec<Act> {
    match act {
        Act::Pin { file, page, pin } => {
            let simple = [Pin::Vmsplice, Pin::AioRead];
            let before = simple.into_iter().take_while(|simple| *simple != pin);
            before.map(|pin| Act::Pin { file, page, pin }).collect()
        }
        Act::Truncate { file, pages } if pages > 0 => vec![Act::Truncate { file, pages: 0 }],
        Act::Range {
            file,
            mode,
            page,
            count,
        } if count > 1 => vec![
            Act::Range {
                file,
                mode,
                page,
                count: 1,
            },
            Act::Range {
                file,
                mode,
                page,
                count: count / 2,
            },
        ],
        Act::Copy {
            file,
            from,
            page,
            count,
        } if count > 1 => vec![Act::Copy {
            file,
            from,
            page,
            count: 1,
        }],
        Act::Write { file, page, count } if count > 1 => vec![Act::Write {
            file,
            page,
            count: 1,
        }],
        Act::Sweep { file, range, count } if count > 1 => vec![
            Act::Sweep {
                file,
                range: range + 1,
                count: count - 1,
            },
            Act::Sweep {
                file,
                range,
                count: count - 1,
            },
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;

    /// Shrinks with a broken seam in place of a kernel.
    fn shrunk(program: Program, shows: impl Fn(&Program) -> bool) -> Program {
        let mut shrinker = Shrinker::new(program);
        let mut played = 0;
        while let Some(proposal) = shrinker.propose() {
            played += 1;
            assert!(played < 1000, "it does not end");
            if shows(&proposal) {
                shrinker.accept(proposal);
            }
        }
        shrinker.best().clone()
    }

    /// Whether a removal comes after an opening after a pin.
    fn shows(program: &Program) -> bool {
        let place = |verb: &str| {
            let mut verbs = program.steps.iter().map(|step| step.act.verb());
            verbs.position(|found| found == verb)
        };
        match (place("pin"), place("reopen"), place("truncate")) {
            (Some(pin), Some(reopen), Some(truncate)) => pin < reopen && reopen < truncate,
            _ => false,
        }
    }

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let found = (0..).map(|number| draw(3, number, None)).find(shows);
        let small = shrunk(found.unwrap(), shows);
        assert_eq!(small.steps.len(), 3, "{small}");
        assert_eq!(small.maps, MapSize::Part);
        assert!(shows(&small));
    }

    #[test]
    fn what_nothing_shows_stays_as_it_is() {
        let program = draw(3, 1, None);
        assert_eq!(shrunk(program.clone(), |_| false), program);
    }

    #[test]
    fn what_everything_shows_becomes_nothing() {
        assert!(shrunk(draw(3, 2, None), |_| true).steps.is_empty());
    }
}
