// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Measures both points on all sides.

use std::fs::{self, OpenOptions};

use anyhow::{Context as _, Result};
use virtiofs_driver::{Handle, NodeId, Options, Rules, WindowOption, fuse::FuseError};

use super::{
    reader::{Guest, ReadError, Reader},
    sample::{Touch, WindowSide},
};
use crate::{
    Plan,
    files::{DATA, Files, RANGE},
    model::{Point, Side, Suite},
    samples::in_turn,
    system::{Program, Running},
};

/// The ranges of the file: more than any cache of the processor can hold.
const RANGES: u32 = 128;
/// The ranges of the file in a short run.
const RANGES_QUICK: u32 = 16;
/// READs of a range that are in flight at a time.
const DEPTH: u32 = 16;
/// Both points.
const POINTS: [(Touch, &str, &str); 2] = [
    (
        Touch::First,
        "first-touch",
        "2 MiB at a time, mapped anew each time, with the page faults of the first load",
    ),
    (
        Touch::Warm,
        "warm",
        "2 MiB at a time, mapped and loaded before",
    ),
];
/// The side that the others are compared with.
const REFERENCE: &str = "memcpy";

/// Measures the points of the plan, and adds the sides to `sides`.
///
/// # Errors
///
/// The first failure.
pub fn measure(plan: &Plan<'_>, sides: &mut Vec<Side>) -> Result<Vec<Point>> {
    let wanted = |(_, name, _): &(Touch, &str, &str)| (plan.wants)(Suite::Window, name);
    let wanted: Vec<_> = POINTS.into_iter().filter(wanted).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = if plan.quick { RANGES_QUICK } else { RANGES };
    let files = Files::below(plan.place)?;
    files.full(DATA, u64::from(ranges) * RANGE)?;
    let mut taking_part = taking_part(plan, &files, ranges)?;
    sides.extend(taking_part.iter().map(WindowSide::side));
    let one = |(touch, name, about)| {
        (plan.progress)(&format!("window {name}"));
        point(plan, &files, &mut taking_part, (touch, name, about))
    };
    wanted.into_iter().map(one).collect()
}

fn point(
    plan: &Plan<'_>,
    files: &Files,
    all: &mut [WindowSide],
    (touch, name, about): (Touch, &str, &str),
) -> Result<Point> {
    for side in &mut *all {
        let warm = side.prepare(files, touch);
        warm.with_context(|| format!("{}: {name}", side.name))?;
    }
    let turn = |side: &mut WindowSide, length| {
        plan.go_on()?;
        let sample = side.sample(touch, length);
        sample
            .map(|sample| [sample])
            .with_context(|| format!("{}: {name}", side.name))
    };
    let [series] = in_turn(plan.length, all, |side| side.name.clone(), turn)?;
    Ok(Point::new(Suite::Window, name, about, REFERENCE, series))
}

fn taking_part(plan: &Plan<'_>, files: &Files, ranges: u32) -> Result<Vec<WindowSide>> {
    let alone = plan.affinity.at_depth(1);
    let both = plan.affinity.at_depth(DEPTH);
    let mut all = Vec::new();
    let required = WindowOption::Required(Rules::qemu());
    let guest = start("window", plan.daemon, files, required)?;
    let window = guest.running.vm.window().cloned();
    let window = window.context("there is no window")?;
    guest.running.keep(alone)?;
    all.push(WindowSide::new(
        "window",
        Reader::Window(guest, window),
        alone,
        ranges,
    ));
    for program in [Some(plan.daemon), plan.peer].into_iter().flatten() {
        let name = format!("read-{}", program.name);
        let guest = start(&name, program, files, WindowOption::Off)?;
        let buffer = guest.running.vm.memory().allocate(RANGE as usize, 4096);
        let buffer = buffer.with_context(|| format!("{name}: there is no memory for its guest"))?;
        guest.running.keep(both)?;
        all.push(WindowSide::new(
            &name,
            Reader::Fuse(guest, buffer),
            both,
            ranges,
        ));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(files.root().join(DATA));
    let file = file.context(REFERENCE)?;
    all.push(WindowSide::new(
        REFERENCE,
        Reader::copy(file, ranges),
        alone,
        ranges,
    ));
    Ok(all)
}

fn start(name: &str, program: &Program, files: &Files, window: WindowOption) -> Result<Guest> {
    let options = Options {
        window,
        ..Running::options()
    };
    // Room for all ranges of the file.
    let more = match (window, program.window) {
        (WindowOption::Required(_), true) => vec!["--dax-window=512M".to_owned()],
        _ => Vec::new(),
    };
    let mut running = Running::start(name, program, files.root(), &more, &options)?;
    let mut client = running.mount()?;
    let mut open = || {
        let node = NodeId(client.lookup(NodeId::ROOT, DATA)?.nodeid);
        let handle = Handle(client.open(node, libc::O_RDWR)?.fh);
        Ok((node, handle))
    };
    let opened: Result<(NodeId, Handle), FuseError> = open();
    let (node, handle) = opened.with_context(|| format!("{name}: opening the file"))?;
    Ok(Guest {
        client,
        node,
        handle,
        running,
    })
}

impl WindowSide {
    /// Sets all ranges up for the warm point, and checks the bytes of each.
    fn prepare(&mut self, files: &Files, touch: Touch) -> Result<(), ReadError> {
        let wanted = fs::read(files.root().join(DATA))?;
        for (range, wanted) in (0..self.ranges).zip(wanted.chunks(RANGE as usize)) {
            self.reader.set_up(range)?;
            self.reader.read(range, &mut self.into)?;
            self.reader.result(&mut self.into)?;
            if self.into != wanted {
                return Err(ReadError::Differs(range));
            }
            if touch == Touch::First {
                self.reader.remove(range)?;
            }
        }
        Ok(())
    }

    fn side(&self) -> Side {
        let about = match &self.reader {
            Reader::Window(..) => "loads through the window, QEMU's rules",
            Reader::Fuse(..) => "FUSE_READ of 128 KiB, 16 at a time",
            Reader::Copy(..) => "loads through a mapping of the file itself, no daemon",
        };
        match self.reader.running() {
            Some(running) => running.side(about),
            None => Side {
                name: self.name.clone(),
                about: about.to_owned(),
                command: Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Affinity;

    #[test]
    fn another_file_s_bytes_are_noticed() {
        let files = Files::below(&std::env::temp_dir()).unwrap();
        files.full(DATA, 2 * RANGE).unwrap();
        let copied = |name| {
            let path = files.root().join(name);
            let file = OpenOptions::new().read(true).write(true).open(path);
            let reader = Reader::copy(file.unwrap(), 2);
            let mut side = WindowSide::new(REFERENCE, reader, Affinity::No, 2);
            side.prepare(&files, Touch::First)
        };
        copied(DATA).unwrap();
        let mut bytes = fs::read(files.root().join(DATA)).unwrap();
        bytes[RANGE as usize + 5] ^= 1;
        fs::write(files.root().join("other"), bytes).unwrap();
        assert!(matches!(copied("other"), Err(ReadError::Differs(1))));
    }
}
