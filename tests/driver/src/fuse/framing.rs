// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a request is split into descriptors. VIRTIO leaves that to the driver.

use fuse_backend_rs::abi::fuse_abi::{InHeader, OutHeader};
use vm_memory::GuestAddress;

use crate::memory::GuestSpan;

/// A guest's page.
const PAGE: u64 = 4096;

/// How a request is split into descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// As few as possible: one for the header and the arguments, one for bulk data.
    #[default]
    Compact,
    /// As Linux does: one for the header, one for the arguments, one for each page of bulk data.
    Linux,
}

/// The descriptors of the current request. The buffer is reused, to avoid allocations.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) readable: Vec<GuestSpan>,
    pub(super) writable: Vec<GuestSpan>,
}

impl Frame {
    /// Splits the request, and the room for its reply if it gets one.
    pub(super) fn cut(
        &mut self,
        framing: Framing,
        [request, send]: [GuestSpan; 2],
        reply: Option<[GuestSpan; 2]>,
    ) {
        self.readable.clear();
        self.writable.clear();
        // Linux uses one buffer for a message without a reply.
        let framing = if reply.is_some() {
            framing
        } else {
            Framing::Compact
        };
        let header = size_of::<InHeader>() as u32;
        cut(framing, request, header, send, &mut self.readable);
        if let Some([reply, receive]) = reply {
            let header = size_of::<OutHeader>() as u32;
            cut(framing, reply, header, receive, &mut self.writable);
        }
    }
}

fn cut(
    framing: Framing,
    message: GuestSpan,
    header: u32,
    bulk: GuestSpan,
    to: &mut Vec<GuestSpan>,
) {
    match framing {
        Framing::Compact => {
            to.push(message);
            to.extend((bulk.len > 0).then_some(bulk));
        }
        Framing::Linux => {
            let (head, arguments) = split(message, header);
            to.push(head);
            to.extend((arguments.len > 0).then_some(arguments));
            to.extend(Pages(bulk));
        }
    }
}

/// The parts of a span, each within one page.
struct Pages(GuestSpan);

impl Iterator for Pages {
    type Item = GuestSpan;

    fn next(&mut self) -> Option<GuestSpan> {
        let left = PAGE - self.0.addr.0 % PAGE;
        let (page, rest) = split(self.0, left as u32);
        self.0 = rest;
        (page.len > 0).then_some(page)
    }
}

fn split(span: GuestSpan, at: u32) -> (GuestSpan, GuestSpan) {
    let at = at.min(span.len);
    let (addr, len) = (span.addr, at);
    let rest = GuestSpan {
        addr: GuestAddress(span.addr.0 + u64::from(at)),
        len: span.len - at,
    };
    (GuestSpan { addr, len }, rest)
}

#[cfg(test)]
mod tests {
    use super::{Frame, Framing};
    use crate::memory::GuestSpan;
    use vm_memory::GuestAddress;

    fn span(addr: u64, len: u32) -> GuestSpan {
        let addr = GuestAddress(addr);
        GuestSpan { addr, len }
    }

    #[test]
    fn linux_has_a_descriptor_a_page() {
        let mut frame = Frame::default();
        let reply = [span(0x200, 16), span(0x10800, 0x1900)];
        frame.cut(
            Framing::Linux,
            [span(0x100, 80), GuestSpan::default()],
            Some(reply),
        );
        assert_eq!(frame.readable, [span(0x100, 40), span(0x128, 40)]);
        let pages = [
            span(0x10800, 0x800),
            span(0x11000, 0x1000),
            span(0x12000, 0x100),
        ];
        assert_eq!(frame.writable[0], span(0x200, 16));
        assert_eq!(frame.writable[1..], pages);
    }

    #[test]
    fn nothing_is_cut_that_need_not_be() {
        let mut frame = Frame::default();
        let (request, data) = (span(0x100, 80), span(0x10800, 0x1900));
        frame.cut(
            Framing::Compact,
            [request, data],
            Some([span(0x200, 24), GuestSpan::default()]),
        );
        assert_eq!(frame.readable, [request, data]);
        assert_eq!(frame.writable, [span(0x200, 24)]);
        frame.cut(Framing::Linux, [request, GuestSpan::default()], None);
        assert_eq!(
            (&frame.readable[..], frame.writable.len()),
            (&[request][..], 0)
        );
    }
}
