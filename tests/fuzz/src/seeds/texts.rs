// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Texts of the command line.

use super::Seed;

const XATTRMAPS: [&str; 6] = [
    ":map::user.virtiofs.:",
    ":map:trusted.:user.virtiofs.:",
    ":prefix:all::user.virtiofs.::bad:all:::",
    "/prefix/all/trusted./user.virtiofs./ /bad/server//trusted./ /bad/client/user.// /ok/all///",
    ":prefix:client:trusted.:user.:\n:unsupported:server::security.: :ok:all:::\0trusted.x",
    ":ok:all::",
];

const IDMAPS: [&str; 7] = [
    "map:0:100000:65536",
    "guest:0:1000:1\nhost:1000:0:1",
    "squash-guest:0:1000:4294967295\nsquash-host:0:0:10",
    "forbid-guest:1000:10\nguest:0:4294967290:10",
    ":0:100000:65536:",
    "/0/1/2/\nx0x1x2x",
    "map:1:2\nmap:0:0:0",
];

const COMMAND_LINES: [&[&str]; 8] = [
    &["--socket-path=/s", "--shared-dir=/srv", "--tag", "fs"],
    &[
        "--fd=3",
        "--shared-dir",
        "/srv",
        "--readonly",
        "--cache=always",
        "--writeback",
    ],
    &[
        "--socket=/s",
        "-osource=/srv,cache=none,no_xattr,modcaps=+sys_admin:-chown",
        "-f",
        "-d",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--dax-window=512M",
        "--dax=always",
        "--dax-min-size=4k",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--request-queues=4",
        "--thread-pool-size=8",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--posix-acl",
        "--security-label=auto",
        "--xattrmap=:map::u.:",
    ],
    &[
        "--socket-path=/s",
        "--shared-dir=/srv",
        "--sandbox=none",
        "--seccomp=log",
        "--inode-file-handles=fallback",
    ],
    &[
        "--print-capabilities",
        "--translate-uid=map:0:1:2",
        "--migration-mode=find-paths",
        "--help",
    ],
];

/// All seeds.
pub(super) fn seeds() -> Vec<Seed> {
    let text = |target, index: usize, text: &str| Seed {
        target,
        name: index.to_string(),
        bytes: text.as_bytes().to_vec(),
    };
    let mut seeds = Vec::new();
    seeds.extend(
        XATTRMAPS
            .iter()
            .enumerate()
            .map(|(at, it)| text("xattrmap", at, it)),
    );
    seeds.extend(
        IDMAPS
            .iter()
            .enumerate()
            .map(|(at, it)| text("idmap", at, it)),
    );
    let lines = COMMAND_LINES.iter().enumerate();
    seeds.extend(lines.map(|(at, line)| text("command_line", at, &line.join("\0"))));
    seeds
}
