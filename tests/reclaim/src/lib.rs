// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's half of `daxlab bench reclaim`, which the static program `guest-reclaim` is made of: a
//! working set of files is accessed as the host orders, by lines of JSON. The host's half is
//! `dax-bench`.

pub mod guest;
pub mod work;
