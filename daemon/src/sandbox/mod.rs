// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's own confinement, beside virtiofsd's sandbox: system calls and capabilities.

pub(crate) mod capabilities;
pub(crate) mod seccomp;
