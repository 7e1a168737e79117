// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operator mistakes at `daxlab`: one clear sentence, the documented status, nothing started.

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
fn kernels_that_can_not_be_had_are_status_3() {
    let output = daxlab(&["kernel", "list"], "/dev/null/none");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("DAXLAB_CACHE"));
    let output = daxlab(&["kernel", "build", "build:6.13"], "/dev/null/none");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
