// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's operations on the files, except mappings.

use shared_window::page_size;
use virtiofsd::fuse::Opcode;

use super::{Guest, NAMES, Node};
use crate::guest::message::{self, ROOT};
use crate::targets::window::model::plain::PAGES;

/// FATTR_SIZE.
const SIZE: u32 = 1 << 3;

impl Guest<'_> {
    pub(super) fn look_up(&mut self, file: usize) {
        let Some(entry) = self.ask_mounted(message::lookup(ROOT, NAMES[file])) else {
            return;
        };
        let number = u64::from_ne_bytes(entry[..8].try_into().expect("8 bytes"));
        let node = &mut self.nodes[file];
        assert!(
            node.lookups == 0 || node.number == number,
            "a node changed its number"
        );
        *node = Node {
            number,
            lookups: node.lookups + 1,
        };
    }

    pub(super) fn forget(&mut self, file: usize, count: u64) {
        let node = self.nodes[file];
        // More lookups than the guest has would be another error, which this target does not cover.
        let count = count.min(node.lookups);
        if count > 0 {
            self.ask(message::request(
                Opcode::Forget,
                node.number,
                &message::numbers(&[count]),
            ));
            self.nodes[file].lookups -= count;
        }
    }

    pub(super) fn open(&mut self, file: usize) {
        let node = self.nodes[file];
        if node.lookups == 0 || !self.mounted {
            return;
        }
        let flags = libc::O_RDWR as u64;
        let open = || message::request(Opcode::Open, node.number, &message::numbers(&[flags]));
        let (mut errno, mut body) = self.ask(open());
        if errno == libc::ESTALE {
            // A DAX promise was withdrawn. The daemon reports that at one OPEN, and Linux then asks
            // again.
            (errno, body) = self.ask(open());
        }
        assert_eq!(errno, 0, "OPEN");
        let handle = u64::from_ne_bytes(body[..8].try_into().expect("8 bytes"));
        self.handles.push((file, node.number, handle));
    }

    pub(super) fn release(&mut self) {
        if let Some((_, node, handle)) = self.handles.pop() {
            let body = message::numbers(&[handle, 0, 0]);
            let (errno, _) = self.ask(message::request(Opcode::Release, node, &body));
            assert_eq!(errno, 0, "RELEASE");
        }
    }

    pub(super) fn resize(&mut self, file: usize, pages: u64) {
        let node = self.nodes[file];
        if node.lookups == 0 || !self.mounted {
            return;
        }
        let mut body = u64::from(SIZE).to_ne_bytes().to_vec();
        body.extend(message::numbers(&[0, pages * page_size()]));
        body.resize(88, 0);
        let (errno, _) = self.ask(message::request(Opcode::Setattr, node.number, &body));
        if self.is_mapped_by_another(file, pages) {
            assert_eq!(errno, libc::ETXTBSY, "SETATTR of a file that is mapped");
            return;
        }
        assert_eq!(errno, 0, "SETATTR");
        self.sizes[file] = pages;
        self.plain.bytes[file][pages as usize..].fill(0);
    }

    /// Whether a page beyond `pages` of the file is mapped by a node that the guest has forgotten
    /// since. Linux removes the mappings of a node before it forgets the node.
    fn is_mapped_by_another(&self, file: usize, pages: u64) -> bool {
        (0..PAGES).any(|page| {
            self.shown(page)
                .is_some_and(|(of, at)| of == file && at >= pages)
                && self.mapped_by[page as usize] != self.nodes[file].number
        })
    }

    pub(super) fn write(&mut self, page: u64, byte: u8) {
        let Some((file, node, handle)) = self.handles.last().copied() else {
            return;
        };
        let mut body = message::numbers(&[handle, page * page_size(), 1, 0, 0]);
        body.push(byte);
        let (errno, _) = self.ask(message::request(Opcode::Write, node, &body));
        assert_eq!(errno, 0, "WRITE");
        self.plain.bytes[file][page as usize] = byte;
        // One byte of a page suffices for a mapping of the page, as for a guest's access.
        let end = page * page_size() + 1;
        let grown = self.files[file].metadata().expect("a size").len();
        assert!(grown >= end, "a write that did not grow the file");
        if self.sizes[file] <= page {
            self.files[file]
                .set_len((page + 1) * page_size())
                .expect("whole pages");
            self.sizes[file] = page + 1;
        }
    }
}
