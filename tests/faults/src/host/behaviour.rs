// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The behaviour of an operation of the layer.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::Errno;
use parking_lot::Mutex;
use virtiofs_driver::window::Gate;

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// LOOKUP.
    Lookup,
    /// GETATTR.
    Getattr,
    /// SETATTR.
    Setattr,
    /// OPEN.
    Open,
    /// CREATE.
    Create,
    /// READ.
    Read,
    /// WRITE, also from the page cache.
    Write,
    /// FLUSH.
    Flush,
    /// FSYNC.
    Fsync,
    /// FALLOCATE.
    Fallocate,
    /// UNLINK.
    Unlink,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 11] = [
        Self::Lookup,
        Self::Getattr,
        Self::Setattr,
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Fsync,
        Self::Fallocate,
        Self::Unlink,
    ];
}

/// The behaviour of one operation.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// Works normally.
    #[default]
    Good,
    /// Fails with this errno.
    Fail(i32),
    /// Works after this delay.
    Slow(Duration),
    /// Works after the gate was opened.
    Hold(Gate),
}

/// The behaviour of each operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Switches(Arc<Mutex<HashMap<Operation, Behaviour>>>);

impl Switches {
    pub(super) fn set(&self, operation: Operation, behaviour: Behaviour) {
        self.0.lock().insert(operation, behaviour);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Applies the behaviour at the beginning of an operation.
    pub(super) fn meet(&self, operation: Operation) -> Result<(), Errno> {
        let behaviour = self.0.lock().get(&operation).cloned();
        match behaviour.unwrap_or_default() {
            Behaviour::Good => {}
            Behaviour::Fail(errno) => return Err(Errno::from_i32(errno)),
            Behaviour::Slow(time) => thread::sleep(time),
            Behaviour::Hold(gate) => gate.pass(None),
        }
        Ok(())
    }
}
