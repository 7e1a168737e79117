// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The actor's loop, and all that it can do.

use std::io::{self, BufRead, Write};

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::{Answer, Belongings, Fault, Order, Repeat, Schedule, Span, Verb};
use crate::{files, pins, removals};

/// Carries out orders until there are no more.
///
/// # Errors
///
/// If the host can't be heard or told.
pub fn play(orders: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut own = Belongings::default();
    for line in orders.lines() {
        let answer = answer(&line?, &mut own);
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

fn answer(line: &str, own: &mut Belongings) -> Answer {
    let began_ns = now();
    let order = serde_json::from_str::<Order>(line)
        .map_err(|error| Fault::order("reading an order", error.to_string()));
    let outcome = order.and_then(|order| carry_out(&order.verb, order.with, own));
    let span = Span {
        began_ns,
        ended_ns: now(),
    };
    Answer { span, outcome }
}

/// Nanoseconds on the guest's monotonic clock.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

type Run = fn(Value, &mut Belongings) -> Result<Value, Fault>;

fn run<V: Verb>(with: Value, own: &mut Belongings) -> Result<Value, Fault> {
    let wrong = |error: serde_json::Error| Fault::order(V::NAME, error.to_string());
    let verb: V = serde_json::from_value(with).map_err(wrong)?;
    serde_json::to_value(verb.run(own)?).map_err(wrong)
}

macro_rules! verbs {
    ($($verb:ty),+ $(,)?) => {
        /// All verbs by their names.
        const VERBS: &[(&str, Run)] = &[$((<$verb as Verb>::NAME, run::<$verb>)),+];
    };
}

verbs![
    Repeat,
    Schedule,
    files::Close,
    files::Compare,
    files::Create,
    files::Fill,
    files::FindFrame,
    files::FrameOf,
    files::Load,
    files::Map,
    files::Open,
    files::Overwrite,
    files::Peek,
    files::ReadAt,
    files::Reserve,
    files::Sync,
    files::Touch,
    files::TraceSleeps,
    files::TracedSleeps,
    files::WriteMapped,
    files::Where,
    files::KernelLog,
    files::Stacks,
    pins::AioSubmit,
    pins::AioReap,
    pins::DirectIo,
    pins::UringSubmit,
    pins::UringReap,
    pins::UringRegister,
    pins::Vmsplice,
    pins::VmspliceMany,
    pins::Drain,
    pins::SpliceAgain,
    pins::ZeroCopySend,
    pins::ZeroCopyReceive,
    pins::CopyFromProcess,
    removals::Removal,
];

pub(super) fn carry_out(name: &str, with: Value, own: &mut Belongings) -> Result<Value, Fault> {
    let found = VERBS.iter().find(|(verb, _)| *verb == name);
    let (_, run) = found.ok_or_else(|| Fault::order(name, "no actor can do this"))?;
    run(with, own)
}
