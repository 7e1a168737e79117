// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files and mappings that a case works on, and the checks on them.

mod content;
mod frames;
mod huge;
mod mapping;
mod opened;
mod peek;
mod pools;
mod references;
mod reset;
mod sleeps;
mod space;
mod standing;
mod store;
mod watch;

pub use content::{Compare, Create, ReadAt, ReadKept, difference};
pub use frames::{FindFrame, Frame, FrameOf};
pub use huge::{Align, MapHuge};
pub use mapping::{Load, Map, MapKind, MapMany, Mapping, Touch};
pub(crate) use opened::kept_or_open;
pub use opened::{Close, Open};
pub use peek::{Peek, Peeked};
pub use references::{BusyReferences, TraceBusy};
pub use reset::ResetDevice;
pub use sleeps::{TRACEFS, TraceSleeps, TracedSleeps};
pub use space::{Fill, Overwrite, Reserve};
pub use standing::{Standing, Where};
pub use store::{Modified, Sync, WriteMapped};
pub use watch::{KernelLog, Stacks, Task, sleepers};
