// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The worker's loop, and all that it can do.

use std::io::{self, BufRead, Write};

use rustix::thread::set_name;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::{Answer, Fault, HandleTable, Op, Repeat, Request, Schedule, Sequence, Span};
use crate::{access, files, pins, removals, workload};

/// The program's argument that makes it a worker.
pub const ARGUMENT: &str = "worker";

/// Answers requests until there are no more.
///
/// # Errors
///
/// If a request can't be read or an answer can't be written.
pub fn serve(requests: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    // The kernel's traces and tables tell it from process 1 by this. A failure is only seen there.
    set_name(c"guest-worker").ok();
    let mut handles = HandleTable::default();
    for line in requests.lines() {
        let answer = answer(&line?, &mut handles);
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

/// Runs one op, whose fields are JSON, and writes what it gives to standard output; for scripts and
/// for people.
///
/// # Errors
///
/// If the op fails.
pub fn once(name: &str, fields: &str) -> Result<(), Fault> {
    let with = serde_json::from_str(fields)
        .map_err(|error| Fault::new("reading the op's fields", error.to_string()))?;
    let given = perform(name, with, &mut HandleTable::default())?;
    writeln!(io::stdout(), "{given}").map_err(Fault::of("writing the answer"))
}

fn answer(line: &str, handles: &mut HandleTable) -> Answer {
    let began_ns = now();
    let request = serde_json::from_str::<Request>(line)
        .map_err(|error| Fault::new("reading a request", error.to_string()));
    let outcome = request.and_then(|request| perform(&request.op, request.with, handles));
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

type Run = fn(Value, &mut HandleTable) -> Result<Value, Fault>;

fn run<O: Op>(with: Value, handles: &mut HandleTable) -> Result<Value, Fault> {
    let wrong = |error: serde_json::Error| Fault::new(O::NAME, error.to_string());
    let op: O = serde_json::from_value(with).map_err(wrong)?;
    serde_json::to_value(op.run(handles)?).map_err(wrong)
}

macro_rules! ops {
    ($($op:ty),+ $(,)?) => {
        /// All ops by their names.
        const OPS: &[(&str, Run)] = &[$((<$op as Op>::NAME, run::<$op>)),+];
    };
}

ops![
    Repeat,
    Schedule,
    Sequence,
    access::CopyMapped,
    access::FillPart,
    access::Fork,
    access::Fsync,
    access::HashFile,
    access::HashTree,
    access::Hold,
    access::LoadBytes,
    access::Modify,
    access::Populate,
    access::ReadTree,
    access::StoreBytes,
    access::StorePhysical,
    access::Sweep,
    access::Upgrade,
    access::VerifyPart,
    files::Align,
    files::BusyReferences,
    files::Close,
    files::Compare,
    files::Create,
    files::Fill,
    files::FindFrame,
    files::FrameOf,
    files::Load,
    files::Map,
    files::MapHuge,
    files::MapMany,
    files::Modified,
    files::Open,
    files::Overwrite,
    files::Peek,
    files::ReadAt,
    files::ReadKept,
    files::Reserve,
    files::ResetDevice,
    files::Sync,
    files::Touch,
    files::TraceBusy,
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
    workload::Make,
    workload::Prepare,
    workload::Trace,
    workload::Count,
    workload::Run,
    workload::Finish,
];

pub(super) fn perform(name: &str, with: Value, handles: &mut HandleTable) -> Result<Value, Fault> {
    let found = OPS.iter().find(|(op, _)| *op == name);
    let (_, run) = found.ok_or_else(|| Fault::new(name, "no worker can do this"))?;
    run(with, handles)
}
