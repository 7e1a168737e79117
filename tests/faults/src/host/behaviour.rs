// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What an operation of the layer does instead of what it is for.

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
    /// WRITE, of the page cache too.
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
    /// All of them.
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

/// What it does.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// What it is for.
    #[default]
    Good,
    /// Fails with this errno.
    Fail(i32),
    /// Takes so long more.
    Slow(Duration),
    /// Begins when the gate is opened.
    Hold(Gate),
}

/// What each operation does.
#[derive(Debug, Clone, Default)]
pub(super) struct Switches(Arc<Mutex<HashMap<Operation, Behaviour>>>);

impl Switches {
    pub(super) fn set(&self, operation: Operation, behaviour: Behaviour) {
        self.0.lock().insert(operation, behaviour);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// At the beginning of an operation.
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
