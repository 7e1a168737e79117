// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The fixtures of a test: the host's parts, a booted guest, and the shares that both sides see.

mod boot;
mod guest;
mod held;
mod host;
mod leftovers;
mod mapped;
mod mounted;
mod mounts;
mod programs;
mod share;
mod share_case;
mod snapshot;
mod terminal;
pub mod unprivileged;

pub use boot::{Boot, Plan};
pub use guest::Lab;
pub use held::Held;
pub use host::{FSX, Host, PJDFSTEST, SLEEP};
pub use leftovers::Leftovers;
pub use mounted::{Mounted, run};
pub use mounts::Mounts;
pub use programs::daxlab;
pub use share::Shared;
pub use share_case::{SHARE_TIME_OUT, ShareCase, ended, told};
pub use snapshot::Snapshot;
pub use terminal::{Size, Terminal};
