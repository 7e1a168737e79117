// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the threads of a hanging process wait.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::account::group;

/// The state, system call, wait channel and kernel stack of each thread in a process group.
#[must_use]
pub fn report(leader: i32) -> String {
    let mut text = String::new();
    for pid in group(leader) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let _ = writeln!(text, "process {pid}, {}", thread(&task.path()));
        }
    }
    text
}

fn thread(task: &Path) -> String {
    let read = |name| {
        let text = fs::read_to_string(task.join(name)).unwrap_or_default();
        text.trim_end().replace('\n', "\n    ")
    };
    let id = task.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "thread {id} ({}): wchan {}, syscall {}\n    {}",
        read("comm"),
        read("wchan"),
        read("syscall"),
        read("stack"),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::report;

    #[test]
    fn a_sleeping_process_is_told_of() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .expect("a process");
        let text = report(child.id().cast_signed());
        child.kill().expect("its end");
        child.wait().expect("its end");
        assert!(text.contains("(sleep): wchan "), "{text}");
    }
}
