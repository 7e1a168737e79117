// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a download is shown.
/// Shows downloads on standard error: a bar on a terminal, plain lines elsewhere.
#[derive(Clone, Debug)]
pub struct Progress {}
impl Progress {
    /// A bar if standard error is a terminal, else one line per artifact.
    pub fn auto() -> Self {
        todo!()
    }
    /// Shows nothing.
    pub fn silent() -> Self {
        todo!()
    }
}
