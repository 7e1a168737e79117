// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Escapes: requests that Linux never sends, and that try to reach files outside the share.
//!
//! ```text
//! ground: BASE/secret, BASE/outside      attempt ─▶ site (daemon, VM, client) ─▶ steps
//!         BASE/share ── what is shared             after it: is BASE as it was?
//! ```
//!
//! Each attempt is made on a new daemon: on this project's, and on virtiofsd. A table compares the
//! answers. `site.rs` defines escapes and wrong answers.

mod attempts;
mod ground;
mod play;
mod shown;
mod site;
mod step;
mod table;

pub use play::FAULTS;
