// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The list of all cases.

use anyhow::Result;
use lab_report::model::{Contract, Outcome};

use super::{KernelKind, Observation, Pin, RemovalKind, expected, matrix};
use crate::host::{FileSystem, Rig};

/// Something that is played on a guest and comes to an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A cell of the matrix.
    Matrix {
        /// Where.
        fs: FileSystem,
        /// What holds the page.
        pin: Pin,
        /// What removes it.
        removal: RemovalKind,
    },
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in FileSystem::ALL {
        for pin in Pin::ALL {
            for removal in RemovalKind::ALL {
                if removal.is_on(fs) && removal.goes_with(pin) {
                    cases.push(Case::Matrix { fs, pin, removal });
                }
            }
        }
    }
    cases
}

impl Case {
    /// Its name.
    pub fn name(self) -> String {
        let Self::Matrix { fs, pin, removal } = self;
        format!("matrix::{fs}::{}::{}", pin.name(), removal.name())
    }

    /// Its file system.
    pub fn fs(self) -> FileSystem {
        let Self::Matrix { fs, .. } = self;
        fs
    }

    /// What holds the page.
    pub fn pin(self) -> Option<Pin> {
        let Self::Matrix { pin, .. } = self;
        Some(pin)
    }

    /// What removes it.
    pub fn removal(self) -> Option<RemovalKind> {
        let Self::Matrix { removal, .. } = self;
        Some(removal)
    }

    /// What the removal owes.
    pub fn contract(self) -> Contract {
        let Self::Matrix { fs, removal, .. } = self;
        removal.contract(fs)
    }

    /// What may come of it.
    pub fn expected(self, kernel: KernelKind) -> Vec<Outcome> {
        let Self::Matrix { fs, pin, removal } = self;
        expected(kernel, fs, pin, removal)
    }

    /// Plays it; what is seen before a failure is kept.
    ///
    /// # Errors
    ///
    /// If the lab fails, or the guest dies.
    pub async fn play(self, rig: &mut Rig, seen: &mut Observation) -> Result<()> {
        let Self::Matrix { fs, pin, removal } = self;
        matrix::play(rig, fs, pin, removal, seen).await
    }
}
