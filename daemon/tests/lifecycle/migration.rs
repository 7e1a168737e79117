// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the log says of a migration that is refused. QEMU never comes so far, since its device for
//! windows refuses before; another VMM may.

use vhost::VhostBackend as _;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserProtocolFeatures,
    VhostUserVirtioFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend as _};

use crate::fixture::{Daemon, can_run, wait_for};

/// As much as the refusal needs to be understood.
const SENTENCE: &str = "a share with a DAX window cannot be migrated; start the daemon with \
                        --dax-window 0 to be able to";

#[test]
fn a_refused_migration_is_explained_in_the_log() {
    if !can_run() {
        return;
    }
    let daemon = Daemon::start(&[]);
    assert_eq!(
        daemon.roles.companion.name, "dax-views",
        "without views there is no window to be refused for"
    );
    let mut frontend = Frontend::connect(daemon.place.socket(), 2).unwrap();
    frontend.set_owner().unwrap();
    frontend.get_features().unwrap();
    let features = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
    frontend.set_features(features).unwrap();
    let offered = frontend.get_protocol_features().unwrap();
    assert!(
        offered
            .contains(VhostUserProtocolFeatures::SHMEM | VhostUserProtocolFeatures::DEVICE_STATE)
    );
    frontend.set_protocol_features(offered).unwrap();
    let config = frontend.get_shmem_config().unwrap();
    assert_ne!(config.memory_sizes[0], 0, "the window's size");

    let (_reader, writer) = std::io::pipe().unwrap();
    let save = VhostTransferStateDirection::SAVE;
    let stopped = VhostTransferStatePhase::STOPPED;
    frontend
        .set_device_state_fd(save, stopped, writer.into())
        .expect_err("a refusal");
    wait_for("the reason in the log", || {
        daemon.place.logged().contains(SENTENCE).then_some(())
    });
}
