// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest with its shares, its agent and its workers, from parts to power-off: the [`machine`] as a
//! value, its [`process`]es, and the host's end of the [`agent`].
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use qemu_guest::vm::{Parts, Vm, VmSpec, Wanted};
//! use qemu_guest::vm::{machine::ByteSize, process::Share};
//!
//! let parts = Parts::obtain(&Wanted::default(), qemu_guest::artifacts::Progress::silent())?;
//! let share = Share::new("/srv", "srv".parse()?).with_window(ByteSize::mib(256));
//! let vm = Vm::boot(&parts, VmSpec::default().share(share)).await?;
//! vm.mount("srv", "/share", "dax=inode").await?;
//! println!("{}", vm.agent().check(["ls", "/share"]).await?.stdout_text());
//! vm.power_off().await
//! # }
//! ```
//!
//! Every way out of these lines, a panic included, ends QEMU and the daemons and removes their
//! folder.

pub mod agent;
pub mod machine;
mod parts;
pub mod process;
mod programs;
mod running;
mod spec;
mod window;
mod worker;

pub use parts::{CONSOLE_INIT, Parts, Wanted};
pub use programs::{MissingProgram, Programs};
pub use running::{Crash, Vm};
pub use spec::VmSpec;
pub use window::{WindowAnswers, WindowKind};
pub use worker::{Done, GUEST_AGENT, Pending, Worker, WorkerError};
