// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The signals that end `daxlab`, caught so that nothing stays behind: awaited by what runs on
//! tokio, looked for between two pieces of work by what does not.

mod awaited;
mod noted;

pub use awaited::Signals;
pub use noted::Noted;
