// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Starts and ends of the real daemon: what is there while it runs, and that nothing is left
//! whichever way it ends.

mod fixture;

mod confinement;
mod ends;
mod metrics;
mod migration;
mod mistakes;
mod regions;
