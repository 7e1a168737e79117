// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The program as a worker, and as one op of a script.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use guest_agent::access::{Hash, HashFile, How};
use guest_agent::worker::{ARGUMENT, Answer, Request};

fn program(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_guest-agent"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing may have ended.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn a_worker_answers_each_line_until_there_are_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "content").unwrap();
    let hash = |path| {
        let how = How::Mmap;
        serde_json::to_string(&Request::of(&HashFile { path, how })).unwrap()
    };
    let requests = [
        hash(path),
        "no request".to_owned(),
        r#"{"op":"no-op","with":null}"#.to_owned(),
        hash("/no/such/file".into()),
    ];
    let output = program(&[ARGUMENT], &(requests.join("\n") + "\n"));
    assert!(output.status.success(), "{output:?}");
    let answers: Vec<Answer> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let outcomes: Vec<_> = answers.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes.len(), requests.len());
    let hash: Hash = serde_json::from_value(outcomes[0].clone().unwrap()).unwrap();
    assert_eq!(hash.size, 7);
    for (outcome, said) in outcomes[1..]
        .iter()
        .zip(["reading a request", "no-op", "/no/such"])
    {
        let fault = outcome.as_ref().unwrap_err().to_string();
        assert!(fault.contains(said), "{fault}");
    }
}

#[test]
fn one_op_prints_what_it_gives_and_fails_as_the_op_does() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "content").unwrap();
    let hash = |name: &str| {
        let path = dir.path().join(name);
        let fields = format!(r#"{{"path": "{}", "how": "syscall"}}"#, path.display());
        program(&["op", "hash-file", &fields], "")
    };
    let found = hash("f");
    assert!(found.status.success(), "{found:?}");
    let hash_of: Hash = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(hash_of.size, 7);
    let missing = hash("g");
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("opening "));
}

#[test]
fn it_sleeps_for_a_number_and_explains_itself_otherwise() {
    assert!(program(&["0"], "").status.success());
    for wrong in [&[][..], &["x"], &["op", "hash-file"]] {
        let output = program(wrong, "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--serve"));
    }
}
