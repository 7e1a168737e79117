// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--xattrmap` on the command line, and its rules in use.
//!
//! Checked: a text is accepted, or refused with a sentence; an accepted one maps every name without
//! a panic, and the guest sees only valid names for the host's names.

use std::ffi::CString;

use virtiofsd::passthrough::xattrmap::XattrMap;

use super::command_line::{accepted, argument};
use super::{Seed, Target};
use crate::oracles;

/// Names as guests and hosts use them.
const NAMES: [&str; 6] = [
    "user.name",
    "user.virtiofs.user.name",
    "trusted.overlay.opaque",
    "security.capability",
    "system.posix_acl_access",
    "",
];

/// The target.
pub(super) const TARGET: Target = Target {
    name: "xattrmap",
    run,
    seeds,
    faults: &[],
};

/// Plays an input: a text, and after a zero byte one more name to map.
fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = argument(parts.next().unwrap_or_default());
    let name = argument(parts.next().unwrap_or_default());
    oracles::judge(|| {
        let Some(config) = accepted(&[format!("--xattrmap={text}")]) else {
            return;
        };
        let map = config
            .share
            .passthrough
            .xattrmap
            .expect("the option was accepted");
        apply(&map, &name);
    });
}

fn apply(map: &XattrMap, name: &str) {
    for name in NAMES.into_iter().chain([name]) {
        let c_name = CString::new(name).expect("an argument has no zero byte");
        let _ = map.map_client_xattr(&c_name);
    }
    let mut list: Vec<u8> = NAMES.join("\0").into_bytes();
    list.extend([0]);
    list.extend(name.as_bytes());
    list.extend([0]);
    if let Ok(shown) = map.map_server_xattrlist(list) {
        assert_eq!(shown.last(), Some(&0), "the last name has no end");
    }
}

const SEEDS: [&str; 6] = [
    ":map::user.virtiofs.:",
    ":map:trusted.:user.virtiofs.:",
    ":prefix:all::user.virtiofs.::bad:all:::",
    "/prefix/all/trusted./user.virtiofs./ /bad/server//trusted./ /bad/client/user.// /ok/all///",
    ":prefix:client:trusted.:user.:\n:unsupported:server::security.: :ok:all:::\0trusted.x",
    ":ok:all::",
];

fn seeds() -> Vec<Seed> {
    Seed::of_texts(SEEDS.map(str::to_owned))
}
