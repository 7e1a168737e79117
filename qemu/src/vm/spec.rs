// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The description of a guest of the lab.

use std::{ffi::OsString, num::NonZeroU16};

use super::Parts;
use crate::{
    accel::{Accel, AccelChoice},
    vm::machine::{ByteSize, Machine, NbdDisk, OnReset, Pmem},
    vm::process::Share,
};

/// A guest's description. [`VmSpec::default`] gives the usual one, without a share.
#[derive(Clone, Debug)]
pub struct VmSpec {
    /// How its CPUs are run.
    pub accel: AccelChoice,
    /// Its RAM.
    pub memory: ByteSize,
    /// Its CPUs.
    pub cpus: NonZeroU16,
    /// Further kernel arguments.
    pub append: Vec<String>,
    /// Its shares; each gets a daemon.
    pub shares: Vec<Share>,
    /// Its persistent memory.
    pub pmem: Vec<Pmem>,
    /// Its disks, each on an NBD server.
    pub disks: Vec<NbdDisk>,
    /// Whether a reboot ends it.
    pub on_reset: OnReset,
    /// Further arguments for QEMU.
    pub extra: Vec<OsString>,
}

impl Default for VmSpec {
    fn default() -> Self {
        Self {
            accel: AccelChoice::Auto,
            memory: ByteSize::mib(1024),
            cpus: NonZeroU16::new(2).expect("two is not zero"),
            // Each line on the emulated serial port costs time; the log has all of them.
            append: vec!["quiet".into()],
            shares: Vec::new(),
            pmem: Vec::new(),
            disks: Vec::new(),
            on_reset: OnReset::Exit,
            extra: Vec::new(),
        }
    }
}

impl VmSpec {
    /// Adds a share.
    #[must_use]
    pub fn share(mut self, share: Share) -> Self {
        self.shares.push(share);
        self
    }

    /// The machine without the devices that need sockets.
    pub fn machine(&self, parts: &Parts, accel: Accel) -> Machine {
        Machine {
            memory: self.memory,
            cpus: self.cpus,
            pmem: self.pmem.clone(),
            disks: self.disks.clone(),
            on_reset: self.on_reset,
            extra: self.extra.clone(),
            ..Machine::new(accel, parts.boot(self.append.clone()))
        }
    }
}
