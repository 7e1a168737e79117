// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Running the suite in a guest.

use std::time::Duration;

use anyhow::{Context as _, Result};
use qemu_guest::vm::agent::ExecRequest;

use super::Outcomes;
use crate::lab::{Lab, PJDFSTEST, SLEEP, Shared};

/// How long the whole suite may take in an emulated guest on a busy host.
const SUITE_DEADLINE: Duration = Duration::from_secs(900);

/// The users that the suite acts as, by the names that it looks for.
const USERS: &str = "root:x:0:0::/:/bin/sh\n\
                     tests:x:1000:1000::/:/bin/sh\n\
                     nobody:x:65534:65534::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\ntests:x:1000:\nnobody:x:65534:\n";

/// The features of Linux. Missing ones (flags, NFSv4's ACLs) are left out. So is the time of birth,
/// because FUSE needs a request for it that neither daemon knows.
///
/// A file's times move with the host kernel's tick, at most every 10 ms.
const CONFIG: &str = "\
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
secondary_fs = \"/tmp\"
[settings]
naptime = 0.02
";
const CONFIG_PATH: &str = "/etc/pjdfstest.toml";
/// An additional setting: the suite may remount the share read-only.
const REMOUNTING: &str = "allow_remount = true\n";
const REMOUNTING_PATH: &str = "/etc/pjdfstest-remounting.toml";
/// The tests that need this setting.
const REMOUNTING_TESTS: &str = "::erofs_";

/// Puts the files into the guest that the suite expects there.
pub async fn prepare(lab: &Lab<'_>) -> Result<()> {
    lab.sh("mkdir -p /etc /tmp").await?;
    let remounting = format!("{CONFIG}{REMOUNTING}");
    let files = [
        ("/etc/passwd", USERS),
        ("/etc/group", GROUPS),
        (CONFIG_PATH, CONFIG),
        (REMOUNTING_PATH, &remounting),
    ];
    for (path, text) in files {
        let agent = lab.agent();
        agent.write_file(path, 0o644, text.as_bytes()).await?;
    }
    Ok(())
}

/// Runs all tests on a share.
///
/// The suite leaves files open for writing. A file system with such files can't be remounted
/// read-only, so the tests that remount run by themselves.
pub async fn whole(lab: &Lab<'_>, share: &Shared) -> Result<Outcomes> {
    let most = with_config(lab, share, CONFIG_PATH, &[]).await?;
    let rest = with_config(lab, share, REMOUNTING_PATH, &[REMOUNTING_TESTS]).await?;
    Ok(most.and(rest))
}

/// Runs the tests whose names contain one of `parts`, except those that remount the share.
pub async fn some(lab: &Lab<'_>, share: &Shared, parts: &[&str]) -> Result<Outcomes> {
    with_config(lab, share, CONFIG_PATH, parts).await
}

async fn with_config(
    lab: &Lab<'_>,
    share: &Shared,
    config: &str,
    parts: &[&str],
) -> Result<Outcomes> {
    let mount_point = share.mount_point();
    let argv = [PJDFSTEST, "-c", config, "-p", &mount_point];
    // The suite finds `sleep` by the search path, copies it, and runs the copy.
    let (sleep, _) = SLEEP.rsplit_once('/').expect("it is a path");
    let path = format!("{sleep}:/bin:/sbin:/usr/bin:/usr/sbin");
    let request = ExecRequest::new(argv.iter().chain(parts).copied()).env("PATH", path);
    let output = lab.agent().run_within(SUITE_DEADLINE, request, &[]).await?;
    // The suite exits with an error if one test has failed, so its output counts, not its status.
    Outcomes::parse(&output.stdout_text()).with_context(|| {
        let (command, status) = (&output.command, &output.status);
        format!("{command} ended with {status}: {}", output.stderr_text())
    })
}
