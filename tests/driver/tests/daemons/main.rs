// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver against real daemons: this project's daemon, which has to be built before, and the
//! one that the environment variable `VIRTIOFSD` names, if there is one. The tests need root.

mod account;
mod behaviour;
mod files;
mod http;
mod kata;
mod lease;
mod lies;
mod lifecycle;
mod locks;
mod locks_at_random;
mod log;
mod lost_stores;
mod metrics;
mod operations;
mod plain_files;
mod promises;
mod queues;
mod restarted;
mod rig;
mod window;
mod window_memory;
