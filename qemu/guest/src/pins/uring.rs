// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! O_DIRECT by io_uring: like AIO, by the kernel's other way to a pinned page.

use io_uring::{IoUring, opcode, types};
use serde::{Deserialize, Serialize};

use super::Transfer;
use crate::worker::{Fault, HandleTable, Op};

/// A ring with one transfer under way.
struct Ring {
    ring: IoUring,
    transfer: Transfer,
}

/// Starts a transfer and returns at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UringSubmit {
    pub name: String,
    pub transfer: Transfer,
}

impl Op for UringSubmit {
    const NAME: &'static str = "uring-submit";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let Self { name, transfer } = self;
        let (fd, page) = transfer.parts(handles)?;
        let mut ring = IoUring::new(1).map_err(Fault::of("io_uring_setup"))?;
        let len = u32::try_from(transfer.len)
            .map_err(|error| Fault::new("the length", error.to_string()))?;
        let entry = if transfer.write {
            opcode::Write::new(types::Fd(fd), page, len)
                .offset(transfer.offset)
                .build()
        } else {
            opcode::Read::new(types::Fd(fd), page, len)
                .offset(transfer.offset)
                .build()
        };
        // SAFETY: the page may be unmapped while the device works: the kernel holds a pin of its
        // own. The ring has room for one entry.
        unsafe { ring.submission().push(&entry) }
            .map_err(|error| Fault::new("io_uring", error.to_string()))?;
        ring.submit().map_err(Fault::of("io_uring_enter"))?;
        handles.keep(&name, Ring { ring, transfer });
        Ok(())
    }
}

/// Waits for the end of a transfer. Gives the number of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UringReap {
    pub name: String,
}

impl Op for UringReap {
    const NAME: &'static str = "uring-reap";
    type Yield = usize;

    fn run(self, handles: &mut HandleTable) -> Result<usize, Fault> {
        let kept: &mut Ring = handles.get_mut(&self.name)?;
        kept.ring
            .submit_and_wait(1)
            .map_err(Fault::of("io_uring_enter"))?;
        let entry = kept.ring.completion().next();
        let entry = entry.ok_or_else(|| Fault::new("io_uring", "no completion came"))?;
        kept.transfer.result(entry.result().into())
    }
}
