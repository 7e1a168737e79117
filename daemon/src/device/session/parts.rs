// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Connects the file system, the window and the channel to the VMM.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shared_window::{RegionBudget, VhostUserShmem, ViewSource, Vmm, Window};
use virtiofsd::filesystem::FileSystem;

use super::KEPT_VIEWS;
use crate::device::vhost_user::FrontEnd;
use crate::device::window::SessionWindow;
use crate::fs::{
    Dax, DaxEligibility, DaxFs, Losses, LostStores, NodeCache, WindowNegotiated, Written,
};
use crate::locks::HostLocks;
use crate::metrics::{Behaviour, Metrics, Trait};
use crate::window::address_space::AddressSpace;
use crate::window::census::Census;
use crate::window::locate::Locator;
use crate::window::operations::WindowSide;

/// The file system and the window, which share state.
pub(super) struct Parts<F, S: ViewSource> {
    pub(super) fs: DaxFs<F, S>,
    pub(super) window: Option<WindowSide<F, VhostUserShmem, S>>,
    pub(super) front_end: Option<FrontEnd>,
    pub(super) space: Arc<AddressSpace>,
}

impl<F: FileSystem + Send + Sync, S: ViewSource + Clone + 'static> Parts<F, S> {
    pub(super) fn new(
        fs: Arc<F>,
        window: Option<SessionWindow<S>>,
        mem_slots: bool,
        locks: Option<Arc<HostLocks>>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let Some(SessionWindow {
            size,
            views,
            budget,
            options,
            policy,
            keep_views,
            plain,
        }) = window
        else {
            return Self {
                fs: DaxFs::new(fs, None).with_locks(locks),
                window: None,
                front_end: None,
                space: Arc::new(AddressSpace::new(None, mem_slots)),
            };
        };
        let shmem = VhostUserShmem::new();
        // QEMU has no limit of regions for a device that does not get each of them by a message.
        let budget = Arc::new(if mem_slots {
            budget
        } else {
            RegionBudget::new(usize::MAX).with_mappings(budget.mappings())
        });
        let census = Arc::new(Census::new(Arc::clone(&budget)));
        let negotiated = WindowNegotiated::default();
        negotiated.set_fit(!plain);
        let eligibility = DaxEligibility::new(policy, views.clone())
            .allowing(options.access)
            .of(Arc::clone(&metrics.vmm));
        let lost_stores = LostStores::new(views.lost_pages(), Arc::clone(metrics));
        let window = Window::with_options(
            size,
            timed(shmem.clone(), metrics),
            views,
            Arc::clone(&budget),
            options,
        );
        let dax = Arc::new(Dax {
            eligibility,
            views: if keep_views {
                NodeCache::new(KEPT_VIEWS)
            } else {
                NodeCache::without_memory()
            },
            losses: Losses::new(window.mapped_files()),
            written: Written::default(),
            kills_privileges: AtomicBool::default(),
            lost_stores,
            negotiated: negotiated.clone(),
        });
        let space = Arc::new(AddressSpace::new(
            Some((size, window.live_ranges())),
            mem_slots,
        ));
        let locator = Locator::new(
            shmem.clone(),
            Arc::clone(&space),
            negotiated.clone(),
            Arc::clone(&metrics.vmm),
        )
        .mapping(options.access, plain)
        .reporting_to(follow(&shmem, &budget, window.clone()));
        Self {
            fs: DaxFs::new(Arc::clone(&fs), Some(Arc::clone(&dax))).with_locks(locks),
            window: Some(
                WindowSide::new(fs, dax, window, Arc::clone(metrics))
                    .count_with(Arc::clone(&census))
                    .locate_with(Box::new(locator)),
            ),
            space,
            front_end: Some(FrontEnd {
                shmem,
                budget,
                census,
                negotiated,
            }),
        }
    }
}

/// The window's handle of the channel. Its calls are timed if there is an observer.
fn timed(shmem: VhostUserShmem, metrics: &Arc<Metrics>) -> VhostUserShmem {
    if metrics.observer().is_none() {
        return shmem;
    }
    let metrics = Arc::clone(metrics);
    shmem.timed(move |call, took| {
        if let Some(observer) = metrics.observer() {
            observer.called(call, took);
        }
    })
}

/// Turns off the steps that the VMM was found not to need, and turns them on again.
fn follow<M: Vmm + 'static, S: ViewSource + 'static>(
    shmem: &VhostUserShmem,
    budget: &Arc<RegionBudget>,
    window: Window<M, S>,
) -> impl Fn(&Behaviour) + Send + Sync + 'static {
    let (shmem, budget) = (shmem.clone(), Arc::clone(budget));
    move |vmm| {
        let does = |of| vmm.get(of);
        budget.set_needed(does(Trait::UsesRegions) != Some(false));
        shmem.set_answers_after_effect(does(Trait::AnswersAfterEffect) == Some(true));
        window.set_enforces_read_only(does(Trait::EnforcesReadOnly) == Some(true));
    }
}
