// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Properties of the host.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use qemu_guest::vm::{MissingProgram, Programs};
use qemu_guest::{vm::machine::ByteSize, vm::process::RunDir};

use super::{
    finding::{Finding, chain},
    views::try_view,
};

/// A guest's default memory, and what QEMU and the daemon need in addition.
const ENOUGH_MEMORY: ByteSize = ByteSize::mib(1536);

/// The architecture and the number of CPUs.
pub fn processor() -> Finding {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{}, {cpus} CPUs", env::consts::ARCH);
    match env::consts::ARCH {
        "x86_64" => Finding::ok("processor", found),
        _ => Finding::fail("processor", found).mend("use an x86-64 host"),
    }
}

/// The memory that is left for a guest.
pub fn memory() -> Finding {
    let Some(available) = available_memory() else {
        return Finding::warn("memory", "unknown: can't read /proc/meminfo").mend("mount /proc");
    };
    let found = format!("{} MiB available", available.bytes() >> 20);
    if available < ENOUGH_MEMORY {
        return Finding::warn("memory", found).mend("use --memory 512M");
    }
    Finding::ok("memory", found)
}

fn available_memory() -> Option<ByteSize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(ByteSize::new(kibibytes << 10))
}

/// Whether the daemon has the privileges that it needs.
pub fn privileges() -> Finding {
    if rustix::process::geteuid().is_root() {
        return Finding::ok("privileges", "root");
    }
    let finding = if gets_user_namespace() {
        let found = "not root: no DAX window, and files keep this user as their owner";
        Finding::warn("privileges", found)
    } else {
        let found = "not root, and no user namespaces for others, which the daemon's sandbox needs";
        Finding::fail("privileges", found)
    };
    finding.mend("run as root")
}

/// Whether this user can make a user namespace; tries it.
fn gets_user_namespace() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "true"]).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

/// Whether views of files can be made; tries it. This forks, so no other thread may run yet.
pub fn passthrough() -> Finding {
    const SUBJECT: &str = "FUSE passthrough";
    match try_view() {
        Ok(()) => Finding::ok(SUBJECT, "a view of a file was made"),
        Err(error) => {
            let found = format!("{}; shares have no DAX window meanwhile", chain(&error));
            Finding::warn(SUBJECT, found)
        }
    }
}

/// Whether there is a folder for sockets and logs.
pub fn run_folder() -> Finding {
    match RunDir::create() {
        Ok(dir) => {
            let base = dir.path().parent().unwrap_or(Path::new("/"));
            Finding::ok("run folder", format!("in {}", base.display()))
        }
        Err(error) => Finding::error("run folder", &error),
    }
}

/// This project's other executables.
pub fn programs() -> [Finding; 2] {
    let built = |subject, program: Result<_, MissingProgram>| match program {
        Ok(path) => runs(subject, path),
        Err(error) => Finding::error(subject, &error),
    };
    [
        built("daemon", Programs::daemon()),
        match Programs::agent() {
            Ok(path) => Finding::ok("guest agent", path.display().to_string()),
            Err(error) => Finding::error("guest agent", &error),
        },
    ]
}

/// Whether a program starts. It does not if a library is missing.
fn runs(subject: &'static str, path: std::path::PathBuf) -> Finding {
    const MEND: &str = "apt-get install libcap-ng0 libseccomp2, then build anew";
    match Command::new(&path).arg("--version").output() {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Finding::ok(subject, format!("{version} ({})", path.display()))
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Finding::fail(subject, format!("{}: {said}", path.display())).mend(MEND)
        }
        Err(error) => Finding::fail(subject, format!("{}: {error}", path.display())).mend(MEND),
    }
}

/// Whether a program is in the PATH.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
