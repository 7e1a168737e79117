// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The cases that are still to be run, and the cells of those that were.

use std::cell::{Cell as Mutable, RefCell};

use anyhow::Result;
use dax_cases::cases::Case;
use dax_measure::lab::Cell;
use tokio::time::Instant;

use super::cell::Frame;
use super::guests::{Guest, Kernel};
use super::live::Live;

/// All cases of a run. Each caller of [`Schedule::work_off`] takes a case, runs it, and then takes
/// the next one.
pub struct Schedule<'a> {
    cases: &'a [Case],
    kernels: &'a [Kernel],
    repeat: u32,
    next: Mutable<usize>,
    /// In the order of the report, whoever ran it: by case, repetition and kernel.
    cells: RefCell<Vec<Option<Cell>>>,
    live: Live,
}

impl<'a> Schedule<'a> {
    /// A schedule of which nothing has been run yet.
    pub fn new(cases: &'a [Case], kernels: &'a [Kernel], repeat: u32) -> Self {
        let count = cases.len() * repeat as usize * kernels.len();
        Self {
            cases,
            kernels,
            repeat,
            next: Mutable::new(0),
            cells: RefCell::new(vec![None; count]),
            live: Live::new(count),
        }
    }

    /// Runs cases until none is left, on guests of its own, one for each kernel. A drop of the
    /// future ends the guests at once.
    ///
    /// # Errors
    ///
    /// If a guest does not end in good order.
    pub async fn work_off(&self) -> Result<()> {
        let mut guests: Vec<Guest> = self.kernels.iter().map(Guest::of).collect();
        while let Some(&case) = self.cases.get(self.next.get()) {
            let index = self.next.replace(self.next.get() + 1);
            // Kernels take turns within a case, so that a disturbance of the host affects all of
            // them.
            for repetition in 1..=self.repeat {
                for (place, guest) in guests.iter_mut().enumerate() {
                    let cell = self.one(guest, case, repetition).await;
                    self.live.cell(&cell);
                    let row = index * self.repeat as usize + repetition as usize - 1;
                    self.cells.borrow_mut()[row * self.kernels.len() + place] = Some(cell);
                }
            }
        }
        for guest in guests {
            guest.end().await?;
        }
        Ok(())
    }

    async fn one(&self, guest: &mut Guest<'_>, case: Case, repetition: u32) -> Cell {
        let kernel = guest.kernel;
        self.live
            .begin(&format!("{} @ {}", case.name(), kernel.label));
        let start = Instant::now();
        let (ending, seen) = guest.run(case).await;
        let seconds = start.elapsed().as_secs_f64();
        Frame::of(kernel, case, repetition).cell(ending, seen, seconds)
    }

    /// All cells. Cases that were not run are skipped, for this reason.
    pub fn into_cells(self, unplayed: &str) -> Vec<Cell> {
        let cells = self.cells.into_inner().into_iter().enumerate();
        let skipped = |index: usize| {
            let (row, place) = (index / self.kernels.len(), index % self.kernels.len());
            let (case, repetition) = (row / self.repeat as usize, row % self.repeat as usize + 1);
            Frame::of(&self.kernels[place], self.cases[case], repetition as u32).skipped(unplayed)
        };
        cells
            .map(|(index, cell)| cell.unwrap_or_else(|| skipped(index)))
            .collect()
    }
}
