// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One page in many pipes' slots: so many plain references that they look like a pin. A pin counts
//! as GUP_PIN_COUNTING_BIAS references, 1024; nothing else tells them apart.

use rustix::fd::OwnedFd;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, pipe, vmsplice};
use serde::{Deserialize, Serialize};

use crate::worker::{HandleTable, Fault, Op};
use crate::files::Mapping;

/// Size of a pipe of this many slots, each of which has a reference.
const SLOTS: u32 = 256;
const PAGE: usize = 4096;

/// The pipes; the references go with them.
struct Pipes(#[expect(dead_code, reason = "held for its end")] Vec<(OwnedFd, OwnedFd)>);

/// Takes a number of references to a page, by vmsplice(2) of one byte each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VmspliceMany {
    /// What the pipes will be called.
    pub name: String,
    /// The mapping.
    pub map: String,
    /// Where in it.
    pub at: usize,
    /// How many references.
    pub times: u32,
}

impl Op for VmspliceMany {
    const NAME: &'static str = "vmsplice-many";
    type Yield = u32;

    fn run(self, handles: &mut HandleTable) -> Result<u32, Fault> {
        let failed = || "vmsplice into many slots";
        let byte = handles.get::<Mapping>(&self.map)?.part(self.at, 1)?;
        let mut pipes = Vec::new();
        let mut taken = 0;
        while taken < self.times {
            let (reader, writer) = pipe().map_err(Fault::of(failed()))?;
            fcntl_setpipe_size(&writer, SLOTS as usize * PAGE).map_err(Fault::of(failed()))?;
            for _ in 0..SLOTS.min(self.times - taken) {
                // SAFETY: the page is mapped for the time of the call; later the pipe has a
                // reference of its own.
                let spliced = unsafe {
                    let bytes = std::slice::from_raw_parts(byte, 1);
                    let parts = [IoSliceRaw::from_slice(bytes)];
                    vmsplice(&writer, &parts, SpliceFlags::NONBLOCK)
                };
                spliced.map_err(Fault::of(failed()))?;
                taken += 1;
            }
            pipes.push((reader, writer));
        }
        handles.keep(&self.name, Pipes(pipes));
        Ok(taken)
    }
}
