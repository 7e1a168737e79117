// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared directory, as the guest sees it through the window.
//!
//! [`DaxFs`] wraps virtiofsd's file system. INIT offers per-file DAX, and attributes carry
//! `FUSE_ATTR_DAX` where [`DaxEligibility`] decides that the file can be mapped. A name that is a
//! path is refused, and so is an operation that takes pages which are mapped under another node
//! ([`Losses`]). OPEN reports a broken promise. FLUSH, FSYNC and RELEASE set the mtime of files
//! that were stored into ([`Written`]); FLUSH and FSYNC report stores that were lost
//! ([`LostStores`]). If the disk is full, views of removed files are dropped. All else is
//! delegated. A SETUPMAPPING gets its file through [`with_file`] and keeps the view in a
//! [`NodeCache`].
//!
//! Invariant: a promise is made only for a file that the daemon may read and write (read, if the
//! mapping is for reading only), on a device where a view has been mapped once. A promise that
//! later turns out wrong costs the guest an error, never a wrong byte.

pub(crate) mod catch_panic;
mod dax_fs;
mod device;
mod doubt;
mod eligibility;
mod kept;
mod losses;
mod lost_stores;
mod moment;
mod name;
mod negotiated;
mod open;
mod privileges;
mod trouble;
mod written;

pub use crate::node::{NodeCache, NodeId};
pub use dax_fs::{Dax, DaxFs};
pub use eligibility::DaxEligibility;
pub use kept::{KEPT_FILES, KeptFiles};
pub use losses::Losses;
pub use lost_stores::LostStores;
pub use negotiated::WindowNegotiated;
pub use open::with_file;
pub(crate) use open::with_handle;
pub use privileges::kill_privileges;
pub use trouble::{is_trouble, is_trouble_with_view};
pub use written::Written;
