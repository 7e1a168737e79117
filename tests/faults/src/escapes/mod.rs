// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Escapes: requests that no Linux sends, made to get at what is not shared.
//!
//! ```text
//! ground: BASE/secret, BASE/outside      attempt ─▶ site (daemon, VM, client) ─▶ steps
//!         BASE/share ── what is shared             after it: is BASE as it was?
//! ```
//!
//! Each attempt is made on a new daemon, this project's and virtiofsd, and the answers stand side by
//! side in a table. What counts as an escape, or as a wrong answer, is in `site.rs`.

mod attempts;
mod ground;
mod play;
mod shown;
mod site;
mod step;
mod table;

pub use play::FAULTS;
