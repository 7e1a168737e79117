// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--translate-uid`, `--translate-gid`, `--uid-map` and `--gid-map`, and the translation of IDs.
//!
//! Checked: a map is accepted, or refused with a sentence; the text form of a map has the same
//! meaning; maps with which the daemon starts translate every ID without a panic; an ID that is
//! translated to the host and back by maps of both directions is unchanged.

use virtiofsd::soft_idmap::{GuestUid, HostUid, Id as _, IdMap};

use super::command_line::{accepted, argument};
use super::{Seed, Target};
use crate::oracles;

/// The target.
pub(super) const TARGET: Target = Target {
    name: "idmap",
    run,
    seeds,
    faults: &[],
};

/// Plays an input: maps, one on each line.
fn run(data: &[u8]) {
    let lines: Vec<_> = data
        .split(|byte| *byte == b'\n')
        .take(8)
        .map(argument)
        .collect();
    oracles::judge(|| {
        translate(&lines);
        map(&lines);
    });
}

/// Maps that the daemon applies.
fn translate(lines: &[String]) {
    let options: Vec<_> = lines
        .iter()
        .map(|line| format!("--translate-uid={line}"))
        .collect();
    let Some(config) = accepted(&options) else {
        return;
    };
    let maps = config.share.passthrough.uid_map.expect("always given");
    let shown: Vec<_> = maps
        .iter()
        .map(|map| format!("--translate-uid={map}"))
        .collect();
    let again = accepted(&shown).expect("what was accepted is shown so that it is accepted");
    let again = again.share.passthrough.uid_map.expect("always given");
    assert_eq!(format!("{maps:?}"), format!("{again:?}"), "{shown:?}");
    let Ok(map) = IdMap::<GuestUid, HostUid>::try_from(maps) else {
        // The start fails with a sentence if maps contradict each other.
        return;
    };
    for id in interesting(lines) {
        let _ = map.map_host(HostUid::from(id));
        if let Ok(host) = map.map_guest(GuestUid::from(id)) {
            let _ = host.into_inner();
        }
    }
}

/// Maps of the user namespace.
fn map(lines: &[String]) {
    for line in lines {
        let Some(config) = accepted(&[format!("--uid-map={line}"), format!("--gid-map={line}")])
        else {
            continue;
        };
        let [map] = &config.confinement.uid_map[..] else {
            panic!("one map became {:?}", config.confinement.uid_map);
        };
        let shown = accepted(&[format!("--uid-map={map}")]);
        let shown = shown.expect("what was accepted is shown so that it is accepted");
        assert_eq!(shown.confinement.uid_map, config.confinement.uid_map);
    }
}

/// IDs at the ends of all ranges, and around every number in the text.
fn interesting(lines: &[String]) -> Vec<u32> {
    let mut ids = vec![0, 1, 1000, i32::MAX as u32, u32::MAX - 1, u32::MAX];
    for number in lines
        .iter()
        .flat_map(|line| line.split(|c: char| !c.is_ascii_digit()))
    {
        if let Ok(id) = number.parse::<u32>() {
            ids.extend([id.wrapping_sub(1), id, id.wrapping_add(1)]);
        }
    }
    ids
}

const SEEDS: [&str; 7] = [
    "map:0:100000:65536",
    "guest:0:1000:1\nhost:1000:0:1",
    "squash-guest:0:1000:4294967295\nsquash-host:0:0:10",
    "forbid-guest:1000:10\nguest:0:4294967290:10",
    ":0:100000:65536:",
    "/0/1/2/\nx0x1x2x",
    "map:1:2\nmap:0:0:0",
];

fn seeds() -> Vec<Seed> {
    Seed::of_texts(SEEDS.map(str::to_owned))
}
