// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! io_uring's fixed buffers: FOLL_LONGTERM, which a DAX file has to refuse, since such a pin has no
//! end to wait for.

use io_uring::IoUring;
use serde::{Deserialize, Serialize};

use crate::files::Mapping;
use crate::worker::{Fault, HandleTable, Op};

/// Registers a part of a mapping as a fixed buffer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UringRegister {
    pub name: String,
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for UringRegister {
    const NAME: &'static str = "uring-register";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let page = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        let ring = IoUring::new(1).map_err(Fault::of("io_uring_setup"))?;
        let buffer = libc::iovec {
            iov_base: page.cast(),
            iov_len: self.len,
        };
        // SAFETY: the buffer is mapped now, and no request that uses it is ever made.
        unsafe { ring.submitter().register_buffers(&[buffer]) }
            .map_err(Fault::of("registering a fixed buffer"))?;
        handles.keep(&self.name, ring);
        Ok(())
    }
}
