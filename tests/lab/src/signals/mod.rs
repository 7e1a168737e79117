// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The signals that end `daxlab`. They are caught, so that nothing stays behind. Code on tokio
//! awaits them; other code polls between two pieces of work.

mod awaited;
mod noted;

pub use awaited::Signals;
pub use noted::Noted;
