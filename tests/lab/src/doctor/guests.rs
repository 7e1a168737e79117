// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The parts of guests: cache, QEMU, accelerators, kernels.

use qemu_guest::vm::{Parts, Programs, Wanted, WindowAnswers, WindowKind};
use qemu_guest::{
    accel::{Accel, Prober, probe::Verdict},
    artifacts::{
        Cache, Kernel, KernelSpec, Progress, Qemu, QemuSpec, busybox,
        kernel::build,
        qemu::{Origin, series},
    },
    vm::machine::CommandLine,
};

use super::{
    finding::{Finding, chain},
    guard,
    host::is_installed,
};

/// Programs that fetching needs. Every Debian has them.
const FETCH_TOOLS: [&str; 2] = ["apt-get", "dpkg-deb"];

const DEVICE: &str = "window device";
const WINDOW: &str = "mappings";
const TCG: &str = "TCG";
const KVM: &str = "KVM";

/// The remark for an artifact that is fetched at its first use.
const NOT_CACHED: &str = "not in the cache; fetched when it is asked for";
/// The remark for a kernel that is built at its first use.
const NOT_BUILT: &str = "not in the cache; built, in some minutes, when it is asked for";
/// The remark for a damaged artifact.
const REFETCHED: &str = "nothing to do: it is fetched anew when asked for";

/// Whether artifacts can be fetched.
pub fn fetching() -> Finding {
    const SUBJECT: &str = "fetching";
    let missing: Vec<&str> = FETCH_TOOLS
        .into_iter()
        .filter(|tool| !is_installed(tool))
        .collect();
    if missing.is_empty() {
        return Finding::ok(SUBJECT, format!("{} are there", FETCH_TOOLS.join(" and ")));
    }
    Finding::warn(SUBJECT, format!("{} not found", missing.join(" and ")))
        .mend("use Debian, or give share --qemu PATH and --kernel PATH")
}

/// The folder of the cache.
pub fn cache() -> (Option<Cache>, Finding) {
    match Cache::open(Progress::silent()) {
        Ok(cache) => {
            let found = cache.root().display().to_string();
            (Some(cache), Finding::ok("cache", found))
        }
        Err(error) => (None, Finding::error("cache", &error)),
    }
}

/// The QEMU that `share` would use.
pub fn qemu(which: &QemuSpec, cache: &Cache) -> (Option<Qemu>, Vec<Finding>) {
    match Qemu::find(which, cache) {
        Ok(Some(qemu)) => {
            let found = format!("{}, {}", qemu.version(), whence(qemu.origin()));
            let findings = vec![
                Finding::ok("QEMU", found),
                Finding::ok(DEVICE, "vhost-user-test-device-pci, with SHMEM"),
            ];
            (Some(qemu), findings)
        }
        Ok(None) => {
            let found = match which {
                QemuSpec::Stock => "none of 11.1 or newer yet; share fetches one",
                _ => "not built yet; share builds it, in some minutes",
            };
            (None, vec![Finding::ok("QEMU", found)])
        }
        Err(error) => (None, vec![Finding::error("QEMU", &error)]),
    }
}

fn whence(origin: &Origin) -> String {
    match origin {
        Origin::Given(path) => format!("given: {}", path.display()),
        Origin::Machine(path) => format!("this machine's {}", path.display()),
        Origin::Cache(path) => format!("fetched: {}", path.display()),
        Origin::Built(path) => format!("built: {}", path.display()),
    }
}

/// The checks that need a usable QEMU.
pub fn unknown_without_qemu() -> [Finding; 5] {
    let why = "unknown as long as there is no QEMU of 11.1 or newer";
    let how = "run 'daxlab share DIR -- true', which fetches one, and ask again";
    [DEVICE, guard::SUBJECT, TCG, KVM, WINDOW].map(|subject| Finding::unknown(subject, why, how))
}

/// Whether a probe guest boots under TCG and under KVM.
pub async fn accelerators(qemu: &Qemu) -> Vec<Finding> {
    let prober = Prober::new(CommandLine::of(&qemu.command()));
    let mut findings = Vec::new();
    for (subject, accel) in [(TCG, Accel::Tcg), (KVM, Accel::Kvm)] {
        findings.push(match prober.verdict(accel).await {
            Ok(verdict) => accelerator(subject, accel, &verdict),
            Err(error) => Finding::error(subject, &error),
        });
    }
    findings
}

/// How QEMU implements a window. A guest is booted with one, and its daemon finds out, so a patched
/// QEMU is recognised by its behaviour. The daemon's answers are the finding's details.
pub async fn window(which: &QemuSpec, cache: &Cache) -> Finding {
    let wanted = Wanted {
        qemu: which.clone(),
        guard: Programs::guard().is_ok(),
        ..Wanted::default()
    };
    let kernel = Kernel::cached(&wanted.kernel, cache);
    let is_cached = matches!(kernel, Ok(Some(_))) && matches!(busybox::cached(cache), Ok(Some(_)));
    if !is_cached {
        let why = "unknown as long as no kernel for a guest is in the cache";
        let how = "run 'daxlab share DIR -- true', which fetches one, and ask again";
        return Finding::unknown(WINDOW, why, how);
    }
    let answers = async {
        let parts = Parts::obtain(&wanted, Progress::silent())?;
        parts.window_answers().await
    };
    match answers.await {
        Ok(answers) => answered(&answers),
        Err(error) => Finding::warn(WINDOW, format!("no guest with one: {error:#}"))
            .mend("see to the lines above and below, and ask again"),
    }
}

fn answered(answers: &WindowAnswers) -> Finding {
    let WindowAnswers { kind, said } = answers;
    let finding = Finding::ok(WINDOW, format!("{kind}: {}", what_follows(*kind)));
    let finding = said.iter().fold(finding, Finding::detail);
    match WindowAnswers::QUESTIONS.saturating_sub(said.len()) {
        0 => finding,
        open => finding.detail(format!(
            "{open} of {} questions not asked: it follows from an answer above",
            WindowAnswers::QUESTIONS
        )),
    }
}

fn what_follows(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Regions => {
            "QEMU 11.1's limits hold (daemon/docs/limits.md), and there is none without root or in \
             a read-only share"
        }
        WindowKind::OneRegion => {
            "no limit of their number, and with --dax-window also without root and in a read-only \
             share"
        }
    }
}

/// Whether the QEMU with this project's patches exists. Only `--qemu series` needs it.
pub fn series(cache: &Cache) -> Finding {
    const SUBJECT: &str = "QEMU series";
    match Qemu::find(&QemuSpec::Series, cache) {
        Ok(Some(qemu)) => Finding::ok(SUBJECT, format!("{} is in the cache", qemu.version())),
        Err(error) => Finding::warn(SUBJECT, chain(&error)).mend("daxlab qemu build"),
        Ok(None) => {
            let missing = series::missing_packages();
            if missing.is_empty() {
                return Finding::ok(SUBJECT, NOT_BUILT);
            }
            let packages = missing.join(" ");
            let found = format!("not built, and not to be built without {packages}");
            Finding::ok(SUBJECT, found).mend(format!("apt-get install {packages}"))
        }
    }
}

/// Whether kernels can be built. Only `--kernel build:…` needs that.
pub fn building() -> Finding {
    const SUBJECT: &str = "building kernels";
    let missing = build::missing_packages();
    if missing.is_empty() {
        return Finding::ok(SUBJECT, "compiler and tools are there");
    }
    let packages = missing.join(" ");
    let found = format!("not without {packages}; only kernels build:… need it");
    Finding::ok(SUBJECT, found).mend(format!("apt-get install {packages}"))
}

fn accelerator(subject: &'static str, accel: Accel, verdict: &Verdict) -> Finding {
    let Some(why) = verdict.obstacle() else {
        return Finding::ok(subject, "a probe guest booted and ran to its end");
    };
    if let Verdict::Hangs { .. } = verdict {
        let mend = "ask again when the host is less busy";
        return Finding::warn(subject, why).mend(mend);
    }
    match accel {
        Accel::Kvm => Finding::warn(subject, why).mend(
            "guests run under TCG meanwhile, some 10 times slower; enable virtualisation in the \
             firmware (or nested, for a VM) and load kvm_intel or kvm_amd",
        ),
        Accel::Tcg => Finding::fail(subject, why).mend("use another QEMU: --qemu PATH"),
    }
}

/// The kernels, and the shell for the guest, that are in the cache.
pub fn contents(cache: &Cache) -> Vec<Finding> {
    KernelSpec::named()
        .map(|spec| kernel(&spec, cache))
        .chain([shell(cache)])
        .collect()
}

fn kernel(spec: &KernelSpec, cache: &Cache) -> Finding {
    let subject = spec.to_string();
    match Kernel::cached(spec, cache) {
        Ok(Some(kernel)) => Finding::ok(subject, format!("{} is in the cache", kernel.release)),
        Ok(None) if matches!(spec, KernelSpec::Built(_)) => Finding::ok(subject, NOT_BUILT),
        Ok(None) => Finding::ok(subject, NOT_CACHED),
        Err(error) => Finding::warn(subject, chain(&error)).mend(REFETCHED),
    }
}

fn shell(cache: &Cache) -> Finding {
    const SUBJECT: &str = "guest's busybox";
    match busybox::cached(cache) {
        Ok(Some(_)) => Finding::ok(SUBJECT, "in the cache"),
        Ok(None) => Finding::ok(SUBJECT, NOT_CACHED),
        Err(error) => Finding::warn(SUBJECT, chain(&error)).mend(REFETCHED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_a_line() {
        let mut answers = WindowAnswers {
            kind: WindowKind::OneRegion,
            said: ["a", "b", "c", "d"].map(str::to_owned).into(),
        };
        let text = answered(&answers).to_string();
        assert_eq!(text.lines().count(), 1 + 4, "{text}");
        assert!(text.ends_with(" d"), "{text}");
        answers.said.pop();
        let text = answered(&answers).to_string();
        assert_eq!(text.lines().count(), 1 + 4, "{text}");
        assert!(text.contains("\n") && text.contains("1 of 4"), "{text}");
    }
}
