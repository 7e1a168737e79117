// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which of two actors runs first, where both could.

use std::io;

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::{Belongings, Fault, Verb};

/// Binds the actor to the first CPU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Before all others there who have not asked for it: they run when this one sleeps.
    pub first: bool,
}

impl Verb for Schedule {
    const NAME: &'static str = "schedule";
    type Yield = ();

    fn run(self, _: &mut Belongings) -> Result<(), Fault> {
        let mut cpus = CpuSet::new();
        cpus.set(0);
        sched_setaffinity(None, &cpus).map_err(Fault::of("going to the first CPU"))?;
        if !self.first {
            return Ok(());
        }
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the kernel reads `priority`; 0 is the calling thread.
        let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
        if set < 0 {
            return Err(Fault::of("asking for SCHED_FIFO")(
                io::Error::last_os_error(),
            ));
        }
        Ok(())
    }
}
