// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Compares everything with the model.

use shared_window::{RangeState, WindowOffset, page_size};
use vm_memory::VolatileMemory as _;

use super::Guest;
use crate::fault::{self, Fault};
use crate::targets::window::daemon::Operation;
use crate::targets::window::model::plain::PAGES;

impl Guest<'_> {
    /// Compares everything with the model.
    pub(in super::super) fn compare(&mut self, operation: &Operation) {
        if fault::strikes(Fault::ForgetMapping) {
            // Makes the VMM lose its mappings, while the table keeps them.
            for (range, _) in self.vmm.mapped() {
                shared_window::Vmm::unmap(&**self.vmm, range.start(), range.len()).expect("mapped");
            }
        }
        let expected: Vec<_> = self
            .plain
            .ranges
            .iter()
            .map(|range| (range.at, range.pages))
            .collect();
        let page = page_size();
        let window = self.device.window().expect("there is a window");
        let table = window.snapshot();
        assert!(
            table
                .iter()
                .all(|mapping| mapping.state == RangeState::Live),
            "{table:?}"
        );
        let table: Vec<_> = table
            .iter()
            .map(|mapping| (mapping.window.start().0 / page, mapping.window.len() / page))
            .collect();
        assert_eq!(table, expected, "the window's table after {operation:?}");
        let mapped: Vec<_> = self
            .vmm
            .mapped()
            .iter()
            .map(|(range, _)| (range.start().0 / page, range.len() / page))
            .collect();
        assert_eq!(mapped, expected, "the VMM's mappings after {operation:?}");
        self.compare_bytes(operation);
    }

    fn compare_bytes(&self, operation: &Operation) {
        let mut seen = [0];
        for page in 0..PAGES {
            if let Some((file, at)) = self.shown(page) {
                let here = WindowOffset(page * page_size());
                self.vmm.read(here, &mut seen).expect("a mapping");
                let expected = self.plain.bytes[file][at as usize];
                assert_eq!(
                    seen[0], expected,
                    "page {page} of the window after {operation:?}"
                );
            }
        }
        for (index, file) in self.on_host.iter().enumerate() {
            for page in 0..self.sizes[index] {
                let slice = file.get_slice((page * page_size()) as usize, 1);
                slice.expect("a page").copy_to(&mut seen);
                let expected = self.plain.bytes[index][page as usize];
                assert_eq!(
                    seen[0], expected,
                    "page {page} of file {index} after {operation:?}"
                );
            }
        }
    }
}
