// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Shows the device to those who look from outside its threads.

use std::sync::Weak;

use shared_window::{Mapping, ViewSource, Vmm};
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::InHeader;

use super::vhost_user::Device;
use crate::fs::NodeId;
use crate::metrics::{SnapshotSource, WindowSnapshot};

impl<F, M, S> SnapshotSource for Weak<Device<F, M, S>>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    fn window(&self) -> Option<WindowSnapshot> {
        let device = self.upgrade()?;
        let side = device.engine.window()?;
        let front_end = device.front_end.as_ref()?;
        front_end.census.count_again();
        let budget = &front_end.budget;
        side.files().hear_of_lost_pages();
        Some(WindowSnapshot {
            size: side.files().window().size().bytes(),
            stats: side.files().window().stats(),
            kept_views: side.files().kept_views().len(),
            regions: budget.in_use(),
            region_limit: Some(budget.limit()).filter(|limit| *limit < usize::MAX),
        })
    }

    fn mappings(&self) -> Vec<Mapping> {
        let device = self.upgrade();
        let side = device.as_ref().and_then(|device| device.engine.window());
        side.map_or_else(Vec::new, |side| side.files().window().snapshot())
    }

    fn keeps_view(&self, node: NodeId) -> bool {
        self.upgrade().is_some_and(|device| {
            device
                .engine
                .window()
                .is_some_and(|side| side.files().kept_views().holds(node))
        })
    }

    fn file_size(&self, node: NodeId) -> Option<u64> {
        let device = self.upgrade()?;
        let no_caller = Context::from(InHeader::default());
        let (attr, _) = device
            .engine
            .fs()
            .inner()
            .getattr(no_caller, node.0.into(), None)
            .ok()?;
        Some(attr.size)
    }
}
