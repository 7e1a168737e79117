// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A case as a C program that shows its finding without the lab, for a mail to those who maintain
//! the code.
//!
//! A cell of the matrix is made from its pin and its removal, so the program does what the cell does.
//! A scenario has a course of its own, which [`stories`] tells in a few lines of C. What a program in the
//! guest can't show by itself has a reason in place of a program.

mod call;
mod stories;

use std::fmt::Write as _;

use dax_measure::lab::Contract;

use super::files::{Files, Page, Place};
use super::{Case, OnHost, Pin, RemovalKind};
use crate::host::FileSystem;
use call::removal_call;

/// Why a case has no program: one sentence.
pub type Reason = &'static str;

/// A program's parts behind its first comment.
#[derive(Debug)]
struct Body {
    /// The functions beside the prelude's.
    functions: Vec<&'static str>,
    /// The function main().
    main: &'static str,
    /// What stands for each @NAME@ in them.
    words: Vec<(&'static str, String)>,
    /// What the program needs beyond a directory that is accessed by DAX.
    needs: Option<&'static str>,
}

const PRELUDE: &str = include_str!("prelude.c");
const ENDED: &str = include_str!("ended.c");
const WARNED: &str = include_str!("warned.c");
const HOLD_PIPE: &str = include_str!("hold-pipe.c");
const HOLD_DISK: &str = include_str!("hold-disk.c");
const WAITS: &str = include_str!("waits.c");
const WARNS: &str = include_str!("warns.c");

/// The files, in the order in which they are made.
const FILES: &str = "fd = make(\"file\", @LENGTH@), other = make(\"other\", @LENGTH@)";
/// What programs take from which header.
const HEADERS: [(&str, &str); 14] = [
    ("fcntl.h", "open("),
    ("signal.h", "kill("),
    ("stdio.h", "printf("),
    ("stdlib.h", "exit("),
    ("string.h", "memset( strlen("),
    ("time.h", "time("),
    ("unistd.h", "write("),
    ("linux/aio_abi.h", "struct iocb"),
    ("linux/fs.h", "FICLONERANGE"),
    ("sys/ioctl.h", "ioctl("),
    ("sys/mman.h", "mmap("),
    ("sys/stat.h", "statx("),
    ("sys/syscall.h", "SYS_"),
    ("sys/wait.h", "waitpid("),
];

/// The widest line of a comment.
const WIDTH: usize = 100;

/// The C program that shows what `case` does.
///
/// # Errors
///
/// The reason if a program in the guest can't show it by itself.
pub fn program(case: Case) -> Result<String, Reason> {
    let body = match case {
        Case::Matrix { fs, pin, removal } => cell(fs, pin, removal)?,
        Case::Host {
            pin: Pin::Vmsplice,
            what: OnHost::TruncateAndStat,
        } => stories::server_shrinks(),
        Case::Host { .. } => {
            return Err("the host removes the blocks, and what counts is what both sides see then");
        }
        Case::Scenario(_, scenario) => stories::body(scenario.name)?,
    };
    let mut code = PRELUDE.to_owned();
    code.extend(body.functions.iter().copied().chain([body.main]));
    for (name, word) in &body.words {
        code = code.replace(&format!("@{name}@"), word);
    }
    let head = head(case, &body) + &includes(&code);
    Ok(head + &without_empty_statements(&code))
}

/// A removal of a page in use, by a child.
fn waits(pin: Pin, call: String, waits: Contract) -> Result<Body, Reason> {
    let (hold, opcode) = match pin {
        Pin::Vmsplice => (HOLD_PIPE, ""),
        Pin::DioRead | Pin::AioRead | Pin::UringRead => (HOLD_DISK, "IOCB_CMD_PREAD"),
        Pin::DioWrite | Pin::AioWrite | Pin::UringWrite => (HOLD_DISK, "IOCB_CMD_PWRITE"),
        Pin::FuseDioRead | Pin::FuseDioWrite => {
            return Err(
                "a server of FUSE has to withhold its reply; aio-read and aio-write show the same",
            );
        }
        Pin::ZeroCopy => {
            return Err("a TCP peer has to stop reading; vmsplice takes the same reference");
        }
    };
    let must_wait = matches!(waits, Contract::MustWait);
    Ok(Body {
        functions: vec![ENDED, hold],
        main: WAITS,
        words: vec![
            ("OPCODE", opcode.to_owned()),
            ("REMOVAL", call),
            ("MUST_WAIT", u8::from(must_wait).to_string()),
        ],
        needs: (hold == HOLD_DISK).then_some("a kernel with null_blk and configfs"),
    })
}

/// A cell of the matrix.
fn cell(fs: FileSystem, pin: Pin, kind: RemovalKind) -> Result<Body, Reason> {
    let contract = kind.contract(fs);
    if contract == Contract::MustRefuse {
        return Err("this file system refuses the call, with and without a pin");
    }
    let files = files(fs, kind);
    let call = removal_call(&kind.op(&files, &page(kind)))?;
    if kind == RemovalKind::CopyOver && fs == FileSystem::Fuse {
        return Ok(stories::warns(format!(
            "hold(page);\n\t{};\n\trelease()",
            stories::failing(&call)
        )));
    }
    let body = waits(pin, call, contract)?;
    Ok(body.at(kind, &files).say("ACCESS", "page[0] = 'B'"))
}

fn files(fs: FileSystem, kind: RemovalKind) -> Files {
    let named = |role: &str| role.to_owned();
    Files {
        file: named("file"),
        other: named("other"),
        ..Files::new(fs, kind, 0, 0)
    }
}

fn page(kind: RemovalKind) -> Page {
    let Place { offset, len } = Place::of(kind);
    Page {
        map: String::new(),
        at: 0,
        len,
        offset,
        disk_at: 0,
        seed: 0,
    }
}

impl Body {
    fn say(mut self, name: &'static str, word: impl Into<String>) -> Self {
        self.words.push((name, word.into()));
        self
    }

    /// With the places of this removal's cells.
    fn at(self, kind: RemovalKind, files: &Files) -> Self {
        let offset = page(kind).offset.to_string();
        // FILES has a LENGTH, so it is put in before.
        self.say("FILES", FILES)
            .say("LENGTH", files.len.to_string())
            .say("OFFSET", offset)
            .say("BETWEEN", "")
            .say("DURING", "")
    }
}

/// The headers that a program needs.
fn includes(code: &str) -> String {
    let needed = HEADERS.iter().filter(|(_, names)| {
        let mut names = names.split(' ');
        names.any(|name| code.contains(name))
    });
    needed.fold(
        String::from("#define _GNU_SOURCE\n"),
        |text, (header, _)| text + &format!("#include <{header}>\n"),
    )
}

/// Without the lines of parts that a program does not have.
fn without_empty_statements(text: &str) -> String {
    let lines = text.lines().filter(|line| line.trim() != ";");
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn head(case: Case, body: &Body) -> String {
    let mount = match case.fs() {
        FileSystem::Fuse => "mount -t virtiofs -o dax=always TAG DIR",
        FileSystem::Ext4 => "mkfs.ext4 /dev/pmem0 && mount -o dax=always /dev/pmem0 DIR",
        FileSystem::Xfs => "mkfs.xfs /dev/pmem0 && mount -o dax=always /dev/pmem0 DIR",
    };
    let mut text = String::from("// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause\n");
    paragraph(&mut text, &format!("{}: {}.", case.name(), case.about()));
    paragraph(&mut text, &format!("Source: {}", case.source()));
    let needs = body
        .needs
        .map_or_else(String::new, |needs| format!(" Needs {needs}."));
    let words = format!(
        "As root: {mount}; gcc -static -o show show.c; ./show DIR. It prints FOUND and exits with 1, or NOT \
         FOUND and exits with 0; 2 if it can't tell.{needs}"
    );
    paragraph(&mut text, &words);
    text
}

/// Words in lines of a comment.
fn paragraph(text: &mut String, words: &str) {
    let mut line = String::from("//");
    for word in words.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            writeln!(text, "{line}").expect("a String takes all");
            "//   ".clone_into(&mut line);
        }
        line.push(' ');
        line += word;
    }
    writeln!(text, "{line}").expect("a String takes all");
}

#[cfg(test)]
mod tests;
