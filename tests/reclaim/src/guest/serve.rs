// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The program's loop.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Fault, make, pins::Pins, ticks::Rate, trace, turn::Turn};
use crate::work::{Answer, Gave, Order};

/// Open files of the largest working set, and some more.
const FILES: u64 = 16 << 10;

/// Carries out orders until there are no more.
///
/// # Errors
///
/// If the host can't be heard or told.
pub fn serve(orders: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    // Where it is refused, opening files tells.
    let limit = Rlimit {
        current: Some(FILES),
        maximum: Some(FILES),
    };
    setrlimit(Resource::Nofile, limit).ok();
    let mut state = State {
        rate: Rate::find_out(),
        turn: None,
        pins: None,
        wanted_pins: None,
    };
    for line in orders.lines() {
        let order = serde_json::from_str(&line?);
        let outcome = order
            .map_err(|error| Fault::Order(format!("no order: {error}")))
            .and_then(|order| state.carry_out(order))
            .map_err(|fault| fault.to_string());
        serde_json::to_writer(&mut answers, &Answer { outcome })?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

struct State {
    rate: Rate,
    turn: Option<Turn>,
    pins: Option<Pins>,
    wanted_pins: Option<(String, u64)>,
}

impl State {
    fn carry_out(&mut self, order: Order) -> Result<Gave, Fault> {
        match order {
            Order::Make { dir, files } => make(Path::new(&dir), files)?,
            Order::Pin { dir, ranges } => self.wanted_pins = Some((dir, ranges)),
            Order::Prepare { dir, work, turn } => {
                let wanted = self.wanted_pins.take();
                let pins = || {
                    let take = |(dir, ranges): (String, u64)| Pins::take(Path::new(&dir), ranges);
                    wanted.map(take).transpose()
                };
                let dir = Path::new(&dir);
                let prepared = Turn::prepare(dir, work, turn, self.rate, pins)?;
                self.turn = Some(prepared.0);
                self.pins = prepared.1;
            }
            Order::Trace => {
                if !trace::begin() {
                    return Ok(Gave::Counts(None));
                }
            }
            Order::Counts => return Ok(Gave::Counts(trace::counts())),
            Order::Run { limit_ms } => {
                let turn = self.turn.as_mut();
                let turn = turn.ok_or_else(|| Fault::Order("no turn is prepared".to_owned()))?;
                let limit = Duration::from_millis(limit_ms);
                return Ok(Gave::Ran(turn.run(limit, self.rate, &mut self.pins)?));
            }
            Order::Finish => {
                self.pins = None;
                if let Some(turn) = self.turn.take() {
                    turn.finish()?;
                }
            }
        }
        Ok(Gave::Done)
    }
}
