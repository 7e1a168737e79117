// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can be seen of a device from outside its threads.

use std::sync::Weak;

use shared_window::{ViewSource, Vmm, WindowStats};
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::InHeader;

use super::device::Device;
use crate::fs::NodeId;

/// A window, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLook {
    /// Its size in bytes.
    pub size: u64,
    /// What it has done.
    pub stats: WindowStats,
    /// Views kept for files, mapped or not.
    pub kept_views: usize,
    /// Memory regions that the VM has in use.
    pub regions: usize,
    /// From this number of regions on, mappings are refused, if there is such a number.
    pub region_limit: Option<usize>,
}

/// Looks at a device. Nothing here waits for a request or for the VMM.
pub trait Look: Send + Sync {
    /// The window, if there is one.
    fn window(&self) -> Option<WindowLook>;

    /// Whether a view is kept for this file.
    fn keeps_view(&self, node: NodeId) -> bool;

    /// The size of a file in bytes, if the guest still knows the file. Asks the host's file system.
    fn file_size(&self, node: NodeId) -> Option<u64>;
}

impl<F, M, S> Look for Weak<Device<F, M, S>>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    fn window(&self) -> Option<WindowLook> {
        let device = self.upgrade()?;
        let side = device.engine.window()?;
        let front_end = device.front_end.as_ref()?;
        front_end.census.count_again();
        let budget = &front_end.budget;
        side.hear_of_lost_pages();
        Some(WindowLook {
            size: side.window().size().bytes(),
            stats: side.window().stats(),
            kept_views: side.kept_views().len(),
            regions: budget.in_use(),
            region_limit: Some(budget.limit()).filter(|limit| *limit < usize::MAX),
        })
    }

    fn keeps_view(&self, node: NodeId) -> bool {
        self.upgrade().is_some_and(|device| {
            device
                .engine
                .window()
                .is_some_and(|side| side.kept_views().holds(node))
        })
    }

    fn file_size(&self, node: NodeId) -> Option<u64> {
        let device = self.upgrade()?;
        let nobody = Context::from(InHeader::default());
        let (attr, _) = device
            .engine
            .fs()
            .inner()
            .getattr(nobody, node.0.into(), None)
            .ok()?;
        Some(attr.size)
    }
}
