// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mistakes on the command line of `daxlab`: one clear sentence, the documented status, and nothing
//! is started.

use std::process::{Command, Output};

fn daxlab(args: &[&str], cache: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daxlab"));
    command.args(args).env("DAXLAB_CACHE", cache);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn mistakes_in_share() {
    let cases = [
        (&["share"][..], 2, "<DIR>"),
        (&["share", "/tmp", "--window", "3M"], 2, "a power of two"),
        (&["share", "/no/such"], 125, "can't share /no/such"),
        (&["share", "/etc/passwd"], 125, "it is no directory"),
        (&["share", "/tmp", "--modules", "/m"], 125, "--kernel PATH"),
        (&["nonsense"], 2, "nonsense"),
        // To git bisect 2 would be a bad commit.
        (&["bisect"], 128, "<CASE>"),
        (&["bisect", "no-such-case"], 128, "no case fits"),
    ];
    for (args, status, told) in cases {
        let output = daxlab(args, "/dev/null/none");
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        let stderr = stderr(&output);
        assert!(stderr.contains(told), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "standard output is the command's");
        if status == 125 {
            assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        }
    }
}

#[test]
fn mistakes_in_benchmarks_in_guests() {
    let reclaim = ["bench", "reclaim"];
    let tree = ["bench", "tree"];
    let out = tempfile::tempdir().unwrap();
    for (command, args, status, told) in [
        (reclaim, ["--window", "3M"], 2, "a power of two"),
        (reclaim, ["--window", "1G"], 2, "from 4M to 512M"),
        (reclaim, ["--side", "btrfs"], 2, "use window, none"),
        (reclaim, ["--shard", "3/3"], 2, "use I/N"),
        (reclaim, ["--seconds", "0"], 2, "from 0.001 to 60"),
        (
            reclaim,
            ["--only", "nothing"],
            2,
            "named such as read-seq-warm/2x",
        ),
        (reclaim, ["--from", "/no/such"], 3, "can't read /no/such"),
        (
            reclaim,
            ["--from", "/etc/passwd"],
            3,
            "no results.json of daxlab bench reclaim",
        ),
        (tree, ["--side", "often"], 2, "use default, never"),
        (
            tree,
            ["--from", "/etc/passwd"],
            3,
            "no results.json of daxlab bench tree",
        ),
    ] {
        let out = ["--out", out.path().to_str().unwrap()];
        let args: Vec<&str> = [command, args, out].concat();
        let output = daxlab(&args, "/dev/null/none");
        assert_eq!(
            output.status.code(),
            Some(status),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(told),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty(), "nothing is reported");
    }
}

#[test]
fn doctor_fails_where_share_can_not_run() {
    let output = daxlab(&["doctor"], "/dev/null/none");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.lines().any(|line| line.starts_with("FAIL  cache")),
        "{report}"
    );
}

#[test]
fn files_that_diff_and_merge_can_not_read() {
    for (args, told) in [
        (
            &["diff", "/no/such.json", "/no/such.json"][..],
            "can't read /no/such.json",
        ),
        (
            &["diff", "/etc/passwd", "/etc/passwd"],
            "/etc/passwd is no results.json of daxlab",
        ),
        (&["merge", "/no/such"], "can't read /no/such/results.json"),
    ] {
        let output = daxlab(args, "/dev/null/none");
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        let stderr = stderr(&output);
        assert!(stderr.contains(told), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "nothing is reported");
    }
}

#[test]
fn doctor_says_what_it_can_not_know_without_a_qemu() {
    let cache = tempfile::tempdir().unwrap();
    let no_programs = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_daxlab"));
    command.arg("doctor").env("DAXLAB_CACHE", cache.path());
    let output = command.env("PATH", no_programs.path()).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    for subject in ["window device", "guard", "TCG", "KVM", "mappings"] {
        let mut lines = report.lines();
        let found = lines.find(|line| line.starts_with(&format!("?     {subject} ")));
        assert!(found.is_some(), "{subject}: {report}");
        let how = lines.next().unwrap_or_default().trim_start();
        assert!(how.starts_with("to find out: "), "{subject}: {report}");
    }
}

#[test]
fn kernels_that_can_not_be_had_are_status_3() {
    let output = daxlab(&["kernel", "list"], "/dev/null/none");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("DAXLAB_CACHE"));
    let output = daxlab(&["kernel", "build", "build:6.13"], "/dev/null/none");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
