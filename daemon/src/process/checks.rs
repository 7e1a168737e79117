// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! First stage: all checks that can be made before anything is created.

use std::path::Path;

use log::{info, warn};
use shared_window::RegionBudget;
use virtiofsd::limits::setup_rlimit_nofile;
use virtiofsd::sandbox::SandboxMode;

use super::error::StartError;
use super::stop::StopRequests;
use crate::config::{
    Config, KeptCapabilities, LockScope, MaxRegions, RequestedSize, WindowRequest,
};
use crate::device::KEPT_VIEWS;
use crate::fs::KEPT_FILES;
use crate::locks::MOST_FILES as LOCK_FILES;
use crate::window::openers::MOST as MOST_OPENERS;

/// Memory regions that vhost-user-backend keeps, each with a descriptor.
const MEMORY_REGION_FILES: u64 = 509;
/// All other descriptors: sockets, eventfds, /proc, the log.
const OTHER_FILES: u64 = 100;
/// Descriptors for metrics: connections, and those to wait for them.
const METRICS_FILES: u64 = crate::metrics::MOST_CONNECTIONS as u64 + 8;
/// The daemon warns if fewer than these are left for the guest.
const FEW_GUEST_FILES: u64 = 128;

/// A [`Config`] that passed the host checks; the first start-up stage.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) stop: StopRequests,
    /// The capabilities to keep, where the daemon runs as root.
    pub(super) capabilities: KeptCapabilities,
    /// The window to try for.
    pub(super) window: Option<RequestedSize>,
    /// The memory regions that mappings must leave the VM with.
    pub(super) regions: MaxRegions,
    /// How many descriptors the daemon may open for the guest.
    pub(super) guest_fd_limit: u64,
}

impl Checked {
    /// Checks the settings against this host, and installs the signal handlers.
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
        let stop = StopRequests::listen().map_err(StartError::system("install signal handlers"))?;
        for sentence in &config.deprecations {
            warn!("{sentence}");
        }
        let dir = Path::new(&config.share.dir);
        if !dir.is_dir() {
            let is_file = dir.is_file();
            let dir = config.share.dir;
            return Err(if is_file {
                StartError::ShareIsFile { dir }
            } else {
                StartError::NoShare { dir }
            });
        }
        check_privileges(&config)?;
        let capabilities = config
            .confinement
            .kept_capabilities(config.share.passthrough.inode_file_handles)?;
        let regions = MaxRegions::new(config.max_regions);
        let window = window(&config, regions);
        Ok(Self {
            stop,
            capabilities,
            window,
            regions: enforced(&config, regions),
            guest_fd_limit: guest_fd_limit(&config, window)?,
            config,
        })
    }
}

/// Refuses what virtiofsd's sandbox would refuse later.
fn check_privileges(config: &Config) -> Result<(), StartError> {
    let root = rustix::process::geteuid().is_root();
    let confinement = &config.confinement;
    let refuse = |option, needs| Err(StartError::Privileges { option, needs });
    if confinement.sandbox == SandboxMode::Chroot && !root {
        return refuse("--sandbox=chroot", "as root; use --sandbox=namespace");
    }
    let maps_work = !root && confinement.sandbox == SandboxMode::Namespace;
    for (option, given) in [
        ("--uid-map", !confinement.uid_map.is_empty()),
        ("--gid-map", !confinement.gid_map.is_empty()),
    ] {
        if given && !maps_work {
            return refuse(option, "without root and with --sandbox=namespace");
        }
    }
    Ok(())
}

/// The window that the share and the VM's memory regions allow. Whether the host allows it is tried
/// later.
fn window(config: &Config, regions: MaxRegions) -> Option<RequestedSize> {
    let size = config.window.size()?;
    let explicit = config.window.is_explicit();
    if config.share.read_only && !explicit {
        // QEMU maps everything writable, so no file of a read-only share could be mapped.
        return None;
    }
    if config.device.mem_slots && size.bytes() > RequestedSize::UNWISE_ABOVE {
        warn!(
            "a window of {} MiB can hold {} ranges, but with --mem-slots QEMU keeps about 500 for \
             all shares of a VM; further mappings will fail",
            size.bytes() >> 20,
            size.ranges()
        );
    }
    let fitting = regions.fit(size);
    if fitting == Some(size) {
        return Some(size);
    }
    let wanted = size.bytes() >> 20;
    match (explicit, fitting) {
        (true, _) => {
            warn!(
                "a window of {wanted} MiB can hold {} ranges, more than {regions} allows: beyond \
                 that, vhost devices of the VM (vhost-net, vhost-vsock) go on with a stale memory \
                 table; use a smaller --dax-window, raise the limit, or give --max-regions=0 if \
                 the VM has no such device",
                size.ranges()
            );
            Some(size)
        }
        (false, Some(smaller)) => {
            info!(
                "the window is {} MiB instead of {wanted}: {regions} allows no more",
                smaller.bytes() >> 20
            );
            Some(smaller)
        }
        (false, None) => {
            warn!("no DAX window: {regions} leaves no region for it");
            None
        }
    }
}

/// The limit for mappings. If the operator asked for the window, a guess about the VM's other
/// devices does not restrict it.
fn enforced(config: &Config, regions: MaxRegions) -> MaxRegions {
    match (regions, config.window) {
        (MaxRegions::OfVhost(_), WindowRequest::Explicit(_)) => MaxRegions::Unlimited,
        _ => regions,
    }
}

/// How many descriptors a daemon with `serving` threads needs for itself, beside those that are
/// counted as the guest's.
fn own_files(serving: u64, window: Option<RequestedSize>, locks: LockScope) -> u64 {
    // A file that a request opens is counted a moment later, and with a window the request may open
    // a view of it. Each mapping may be of another file: a guest need not limit its mappings as
    // Linux does. A thread that opens files has a file and its view.
    let views = window.map_or(0, |_| {
        let opening = 2 * MOST_OPENERS as u64;
        serving + opening + RegionBudget::QEMU as u64 + KEPT_VIEWS.get() as u64
    });
    let locks = match locks {
        LockScope::Guest => 0,
        LockScope::Host => LOCK_FILES as u64,
    };
    MEMORY_REGION_FILES + OTHER_FILES + KEPT_FILES as u64 + serving + views + locks
}

/// Raises the limit of open files and divides it between the daemon and the guest.
fn guest_fd_limit(config: &Config, window: Option<RequestedSize>) -> Result<u64, StartError> {
    let limit = setup_rlimit_nofile(config.rlimit_nofile)
        .map_err(|reason| StartError::FileLimit { reason })?;
    let serving =
        u64::from(config.device.request_queues.get()) + config.device.thread_pool_size as u64;
    let metrics = config.metrics.as_ref().map_or(0, |_| METRICS_FILES);
    let own = own_files(serving, window, config.device.locks) + metrics;
    match limit.checked_sub(own) {
        None | Some(0) => Err(StartError::FileLimitTooSmall {
            limit,
            least: own + 1,
        }),
        Some(guest) => {
            if guest < FEW_GUEST_FILES {
                warn!("only {guest} open files are left for the guest; raise --rlimit-nofile");
            }
            Ok(guest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_VIEWS, LOCK_FILES, LockScope, MEMORY_REGION_FILES, RequestedSize, own_files};

    #[test]
    fn a_guest_that_takes_as_many_locks_of_the_host_as_it_can_takes_none_of_the_daemon_s_own_files()
    {
        let [with, without] = [LockScope::Host, LockScope::Guest].map(|to| own_files(1, None, to));
        assert_eq!(with - without, LOCK_FILES as u64);
    }

    #[test]
    fn a_guest_that_maps_as_many_files_as_it_can_leaves_room_for_memory_regions() {
        const MAPPINGS: u64 = shared_window::RegionBudget::QEMU as u64;
        let needed = MEMORY_REGION_FILES + MAPPINGS + KEPT_VIEWS.get() as u64;
        let smallest = RequestedSize::try_from(RequestedSize::MIN).expect("a valid size");
        for size in [smallest, RequestedSize::DEFAULT] {
            assert!(
                own_files(1, Some(size), LockScope::Guest) > needed,
                "{size:?}"
            );
        }
        assert!(
            own_files(1, None, LockScope::Guest) < own_files(1, Some(smallest), LockScope::Guest)
        );
    }
}
