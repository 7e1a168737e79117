// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that knows the correct results.

mod compare;
mod files;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use shared_window::{Access, ProcessWindow, RegionBudget, WindowOffset, page_size};
use vhost_user_backend::VringT as _;
use virtiofs_driver::{Body, FileOffset, NodeId};
use vm_memory::MmapRegion;

use super::super::model::action::Action;
use super::super::model::plain::{FILE_PAGES, FILES, PAGES, Plain, Range};
use super::{Device, Operation, REGIONS};
use crate::fixture::Fixture;
use crate::guest::message;
use crate::guest::queue::Queue;
use crate::guest::shape::Frame;

/// Names of the model's files.
const NAMES: [&str; FILES] = ["w0", "w1", "w2"];

/// The guest's state of a file.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    number: u64,
    lookups: u64,
}

pub(super) struct Guest<'a> {
    device: &'a Device,
    queue: &'a mut Queue,
    vmm: &'a Arc<ProcessWindow>,
    budget: &'a RegionBudget,
    files: [File; FILES],
    /// Mappings of all files: they show the host's bytes without a system call for each look.
    on_host: [MmapRegion; FILES],
    /// Pages of each file.
    sizes: [u64; FILES],
    plain: Plain,
    /// The node that each page of the window was last mapped by.
    mapped_by: [u64; PAGES as usize],
    nodes: [Node; FILES],
    /// Open handles: file, node and handle.
    handles: Vec<(usize, u64, u64)>,
    /// The device was reset, and no request has come since.
    stale: bool,
    /// There was an INIT, and no DESTROY since.
    mounted: bool,
    full: bool,
}

impl<'a> Guest<'a> {
    /// Makes the files. To be called outside of the chroot.
    pub(super) fn new(
        fixture: &Fixture,
        device: &'a Device,
        queue: &'a mut Queue,
        vmm: &'a Arc<ProcessWindow>,
        budget: &'a RegionBudget,
    ) -> Self {
        let plain = Plain::new();
        let mut index = 0;
        let files = plain.bytes.map(|bytes| {
            let path = fixture.share_path().join(NAMES[index]);
            index += 1;
            let options = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path);
            let file = options.expect("a new file");
            file.set_len(FILE_PAGES * page_size()).expect("a size");
            for (page, byte) in bytes.iter().enumerate() {
                file.write_all_at(&[*byte], page as u64 * page_size())
                    .expect("content");
            }
            file
        });
        let on_host = std::array::from_fn(|index| {
            let file = files[index].try_clone().expect("a descriptor");
            let whole = (FILE_PAGES * page_size()) as usize;
            MmapRegion::from_file(vm_memory::FileOffset::new(file, 0), whole).expect("a mapping")
        });
        Self {
            device,
            queue,
            vmm,
            budget,
            files,
            on_host,
            sizes: [FILE_PAGES; FILES],
            plain,
            mapped_by: [0; PAGES as usize],
            nodes: [Node::default(); FILES],
            handles: Vec::new(),
            stale: false,
            mounted: false,
            full: false,
        }
    }

    /// Mounts, and looks all files up.
    pub(super) fn init(&mut self) {
        let (errno, _) = self.send(message::init());
        assert_eq!(errno, 0, "INIT");
        self.mounted = true;
        self.all_gone();
        (0..FILES).for_each(|file| self.look_up(file));
    }

    /// The common effect of INIT, DESTROY and a reset.
    fn all_gone(&mut self) {
        self.plain.ranges.clear();
        self.nodes = [Node::default(); FILES];
        self.handles.clear();
    }

    /// Makes a request. Returns the errno, and the reply's bytes behind its header.
    fn ask(&mut self, node: NodeId, body: Body<'_>) -> (i32, Vec<u8>) {
        self.send(message::request(node, body))
    }

    fn send(&mut self, request: Vec<u8>) -> (i32, Vec<u8>) {
        let offered = self.queue.offer(&Frame::plain(request, 256));
        self.device.kick();
        let returned = self.queue.returned();
        let [(head, len)] = returned[..] else {
            panic!("one request was offered, {returned:?} returned");
        };
        assert_eq!(head, offered.head);
        self.stale = false;
        let room = self.queue.room(&offered);
        if len < 16 {
            return (0, Vec::new());
        }
        let error = i32::from_ne_bytes(room[4..8].try_into().expect("4 bytes"));
        (-error, room[16..len as usize].to_vec())
    }

    /// Makes a request that must succeed if the guest is mounted.
    fn ask_mounted(&mut self, node: NodeId, body: Body<'_>) -> Option<Vec<u8>> {
        let (errno, body) = self.ask(node, body);
        assert_eq!(errno == 0, self.mounted, "errno {errno}");
        (errno == 0).then_some(body)
    }

    pub(super) fn perform(&mut self, operation: &Operation) {
        let number = |byte: u8| u64::from(byte);
        let file = |byte: u8| usize::from(byte) % FILES;
        match *operation {
            Operation::Lookup { file: of } => self.look_up(file(of)),
            Operation::Forget { file: of, count } => self.forget(file(of), count.into()),
            Operation::Open { file: of } => self.open(file(of)),
            Operation::Release {} => self.release(),
            Operation::Setup {
                at,
                pages,
                file: of,
                from,
                write,
            } => {
                let asked = Range {
                    at: number(at) % (PAGES + 2),
                    pages: number(pages) % 5,
                    file: file(of),
                    from: number(from) % (FILE_PAGES + 2),
                    known: true,
                };
                self.set_up(asked, write & 1 != 0);
            }
            Operation::SetupUnknown { node, at } => self.set_up_unknown(node.into(), at.into()),
            Operation::Remove {
                at,
                pages,
                more_at,
                more_pages,
            } => {
                let range =
                    |at: u8, pages: u8| (number(at) % (PAGES + 2), number(pages) % (PAGES + 3));
                let mut ranges = vec![range(at, pages)];
                if more_pages > 0 {
                    ranges.push(range(more_at, more_pages));
                }
                self.remove(ranges);
            }
            Operation::Resize { file: of, pages } => {
                self.resize(file(of), number(pages) % (FILE_PAGES + 1));
            }
            Operation::Write { page, byte } => self.write(number(page) % FILE_PAGES, byte),
            Operation::Store { page, byte } => self.store(number(page) % PAGES, byte),
            Operation::Init {} => self.init(),
            Operation::Destroy {} => {
                self.ask(NodeId(0), Body::destroy());
                self.mounted = false;
                self.all_gone();
            }
            Operation::Reset {} => self.reset(),
            Operation::Regions { full } => {
                self.full = full & 1 != 0;
                self.budget.set_in_use(if self.full { REGIONS } else { 0 });
            }
        }
    }

    fn set_up(&mut self, asked: Range, write: bool) {
        let page = page_size();
        let node = self.nodes[asked.file];
        let action = Action::Setup {
            at: asked.at,
            pages: asked.pages,
            file: asked.file,
            from: asked.from,
            access: if write {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            },
            skew: 0,
        };
        if node.lookups == 0 {
            return self.set_up_unknown(node.number, asked.at);
        }
        // A mapping of another node does not count as present: it is replaced.
        let mut before = self.plain.clone();
        if self.mapped_by.get(asked.at as usize) != Some(&node.number) {
            let same = before.ranges.iter_mut().find(|range| **range == asked);
            same.into_iter().for_each(|range| range.file = FILES);
        }
        let mut expected = before.expect(&action, self.full);
        let is_new = !before.ranges.contains(&asked);
        // This VMM refuses the mapping, unlike one that gets a padded view.
        if expected.errno.is_none() && is_new && asked.from + asked.pages > self.sizes[asked.file] {
            expected.errno = Some(libc::EIO);
            expected.ranges.retain(|range| *range != asked);
        }
        let from = FileOffset(asked.from * page);
        let at = virtiofs_driver::WindowOffset(asked.at * page);
        let body = Body::setup_mapping(from, asked.pages * page, at, write);
        let (errno, _) = self.ask(NodeId(node.number), body);
        assert_eq!(
            errno,
            expected.errno.unwrap_or(0),
            "{action:?} with {:?}",
            self.plain.ranges
        );
        self.plain.ranges = expected.ranges;
        if errno == 0 {
            self.mapped_by[asked.at as usize..asked.end() as usize].fill(node.number);
        }
    }

    /// Maps a node that the guest does not have, and that does not exist.
    fn set_up_unknown(&mut self, node: u64, at: u64) {
        if node == NodeId::ROOT.0
            || self
                .nodes
                .iter()
                .any(|it| it.lookups > 0 && it.number == node)
        {
            return;
        }
        let page = page_size();
        let (from, at) = (FileOffset(0), virtiofs_driver::WindowOffset(at * page));
        let body = Body::setup_mapping(from, page, at, true);
        let (errno, _) = self.ask(NodeId(node), body);
        assert_eq!(errno, libc::EACCES, "a node that the guest has not");
    }

    fn remove(&mut self, ranges: Vec<(u64, u64)>) {
        let page = page_size();
        let bytes: Vec<_> = ranges
            .iter()
            .map(|(at, pages)| (virtiofs_driver::WindowOffset(at * page), pages * page))
            .collect();
        let expected = self.plain.expect(&Action::Remove(ranges), self.full);
        let (errno, _) = self.ask(NodeId(0), Body::remove_mapping(&bytes));
        assert_eq!(errno, expected.errno.unwrap_or(0), "removal of {bytes:x?}");
        self.plain.ranges = expected.ranges;
    }

    fn store(&mut self, page: u64, byte: u8) {
        if let Some((file, at)) = self.shown(page) {
            let here = WindowOffset(page * page_size());
            self.vmm
                .write(here, &[byte])
                .expect("a mapping is writable");
            self.plain.bytes[file][at as usize] = byte;
        }
    }

    fn reset(&mut self) {
        self.device.ring().set_enabled(false);
        self.device.reset_device();
        self.queue.start(self.device.ring());
        self.mounted = false;
        let ranges = std::mem::take(&mut self.plain.ranges);
        self.all_gone();
        // The mappings stay until a request comes.
        self.plain.ranges = ranges;
        self.stale = true;
        self.ask(NodeId::ROOT, Body::getattr(None));
        self.plain.ranges.clear();
    }

    /// The file's page that the window shows there, if there is one.
    fn shown(&self, page: u64) -> Option<(usize, u64)> {
        self.plain
            .shown(page)
            .filter(|(file, at)| *at < self.sizes[*file])
    }
}
