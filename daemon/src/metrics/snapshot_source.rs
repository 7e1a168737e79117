// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can be seen of a device from outside its threads.

use shared_window::{Mapping, WindowStats};

use crate::node::NodeId;

/// A window, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSnapshot {
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
pub trait SnapshotSource: Send + Sync {
    /// The window, if there is one.
    fn window(&self) -> Option<WindowSnapshot>;

    /// The window's ranges that are not free, in order.
    fn mappings(&self) -> Vec<Mapping>;

    /// Whether a view is kept for this file.
    fn keeps_view(&self, node: NodeId) -> bool;

    /// The size of a file in bytes, if the guest still knows the file. Asks the host's file system.
    fn file_size(&self, node: NodeId) -> Option<u64>;
}
