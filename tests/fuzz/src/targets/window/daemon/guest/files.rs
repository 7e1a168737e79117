// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's operations on the files, except mappings.

use shared_window::page_size;
use virtiofs_driver::fuse::{SetattrIn, SetattrValid};
use virtiofs_driver::{Body, FileOffset, GuestSpan, Handle, NodeId};

use super::{Guest, NAMES, Node};
use crate::guest::message;
use crate::targets::window::model::plain::PAGES;

impl Guest<'_> {
    pub(super) fn look_up(&mut self, file: usize) {
        let Some(entry) = self.ask_mounted(NodeId::ROOT, Body::lookup(NAMES[file])) else {
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
            self.ask(NodeId(node.number), Body::forget(count));
            self.nodes[file].lookups -= count;
        }
    }

    pub(super) fn open(&mut self, file: usize) {
        let node = self.nodes[file];
        if node.lookups == 0 || !self.mounted {
            return;
        }
        let (number, open) = (NodeId(node.number), Body::open(libc::O_RDWR));
        let (mut errno, mut body) = self.ask(number, open);
        if errno == libc::ESTALE {
            // A DAX promise was withdrawn. The daemon reports that at one OPEN, and Linux then asks
            // again.
            (errno, body) = self.ask(number, open);
        }
        assert_eq!(errno, 0, "OPEN");
        let handle = u64::from_ne_bytes(body[..8].try_into().expect("8 bytes"));
        self.handles.push((file, node.number, handle));
    }

    pub(super) fn release(&mut self) {
        if let Some((_, node, handle)) = self.handles.pop() {
            let (errno, _) = self.ask(NodeId(node), Body::release(Handle(handle)));
            assert_eq!(errno, 0, "RELEASE");
        }
    }

    pub(super) fn resize(&mut self, file: usize, pages: u64) {
        let node = self.nodes[file];
        if node.lookups == 0 || !self.mounted {
            return;
        }
        let size = SetattrIn {
            valid: SetattrValid::SIZE.bits(),
            size: pages * page_size(),
            ..SetattrIn::default()
        };
        let (errno, _) = self.ask(NodeId(node.number), Body::setattr(size));
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
        // The byte follows the request.
        let (at, data) = (
            FileOffset(page * page_size()),
            GuestSpan {
                len: 1,
                ..GuestSpan::default()
            },
        );
        let mut request = message::request(NodeId(node), Body::write(Handle(handle), at, data));
        request.push(byte);
        let (errno, _) = self.send(request);
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
