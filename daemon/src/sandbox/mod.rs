// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the daemon takes away from itself, beside virtiofsd's sandbox: system calls and capabilities.

pub(crate) mod capabilities;
pub(crate) mod seccomp;
