// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What scenarios do beyond a cell of the matrix, in C.

use dax_measure::lab::Contract;
use guest_agent::removals::Removal;

use super::call::removal_call;
use super::{Body, ENDED, HOLD_PIPE, Reason, WARNED, WARNS, files, page, waits};
use crate::cases::{Pin, RemovalKind};
use crate::host::FileSystem;

const STALLS: &str = include_str!("stalls.c");
const APPENDED: &str = include_str!("appended.c");
const MTIME: &str = include_str!("mtime.c");
const UNLINKED: &str = include_str!("unlinked.c");
const RESET: &str = include_str!("reset.c");
const BLOCKS: &str = include_str!("blocks.c");

/// Loads the page, and leaves it clean.
const LOAD: &str = "(void)*(volatile char *)page";
const STORE: &str = "page[0] = 'B'";
const CLOSE: &str = "munmap(page, 4096), close(fd)";
/// The remover spins, and no signal ends that.
const KILL: &str = "kill(remover, SIGKILL);\n\treturn found(!ended(remover, 3000), \"SIGKILL does not \
                    end it\")";

/// The course of the scenario of this name.
pub(super) fn body(name: &str) -> Result<Body, Reason> {
    use RemovalKind::{Clone, CloneFrom, DropCaches, OpenTruncate, Truncate, Unlink};
    match name {
        "munmap-hides-pin" => under(Pin::AioRead, Truncate, STORE, "munmap(page, 4096)"),
        "reopen-hides-loaded-page" => under(
            Pin::Vmsplice,
            Truncate,
            LOAD,
            "close(open(\"file\", O_RDONLY))",
        ),
        "change-hides-loaded-page" => under(
            Pin::Vmsplice,
            Truncate,
            LOAD,
            // What is written beyond the end goes to the server, who moves mtime.
            "if (pwrite(fd, \"B\", 1, @LENGTH@) != 1 ||\n\t    statx(AT_FDCWD, \"file\", \
             AT_STATX_FORCE_SYNC, STATX_MTIME, &(struct statx){ 0 }))\n\t\tdie(\"changing the file\")",
        ),
        "loaded-page-in-pipe" => under(Pin::Vmsplice, Truncate, LOAD, ""),
        "copy-over-hides-pin" => under(Pin::AioRead, Truncate, STORE, &failing(&copy_over()?)),
        "evict-under-transfer" => under(Pin::AioRead, Unlink, STORE, CLOSE),
        "evict-under-pipe" => under(Pin::Vmsplice, Unlink, STORE, CLOSE),
        "create-trunc-under-pin" => {
            let call = removal_call(&Removal::OpenTruncate {
                path: "file".to_owned(),
                create: true,
            })?;
            story(
                Pin::Vmsplice,
                OpenTruncate,
                call,
                Contract::MustWait,
                STORE,
                "",
            )
        }
        "eviction-under-pin" => {
            let call = removal_call(&Removal::DropCaches)?;
            story(
                Pin::AioRead,
                DropCaches,
                call,
                Contract::MayProceed,
                STORE,
                CLOSE,
            )
        }
        "refault-during-wait" => {
            let body = under(Pin::AioRead, Truncate, STORE, "")?;
            Ok(with_during(body, "page[0] = 'C'"))
        }
        "clone-second-inode" => second_inode(Clone),
        "clone-from-second-inode" => second_inode(CloneFrom),
        "reopen-while-mapped" => Ok(warns("close(open(\"file\", O_RDONLY))".to_owned())),
        "unpinned-copy-over" => Ok(warns(failing(&copy_over()?))),
        "worker-stalls-others" => Ok(stalls(
            ["hold(page)", "release()", "(byte = others[at]) != 0"],
            "a page in a pipe stalls who touches other files",
        )),
        "self-deadlock" => Ok(stalls(
            ["", "hold(page)", "pread(other, &byte, 1, at) != 1"],
            "who has put a page into a pipe waits for itself",
        )),
        "appended-is-read" => Ok(alone(&[], APPENDED, None)),
        "write-moves-mtime" => Ok(alone(&[], MTIME, None)),
        "close-after-unlink" => Ok(alone(&[ENDED], UNLINKED, None)),
        "big-blocks-writeback" => Ok(alone(
            &[],
            BLOCKS,
            Some("a directory of the host on a tmpfs with huge=always"),
        )),
        "reset-under-pin" => Ok(alone(
            &[HOLD_PIPE],
            RESET,
            Some("the name of the device as a second argument, such as virtio3"),
        )),
        "exchange-second-inode" => {
            Err("the system's headers don't have the call; clone-second-inode shows the same")
        }
        "reopen-hides-pin" => Err(
            "the lab fills the window to its last range; reopen-hides-loaded-page shows the same",
        ),
        "umount-behind-worker" | "umount-with-submount" => Err(
            "the lab fills the window to its last range and no further, so that no other process waits",
        ),
        "stale-range" => Err("two reclaims have to meet in one range; the lab makes them meet"),
        "process-copy-race" | "writeback-storm" | "fault-storm" => {
            Err("it is a race of many rounds; refault-during-wait shows its bug without one")
        }
        _ => Err("no kernel is known to fail it by a bug that no other case shows"),
    }
}

/// The size that the server has changed is asked for while a page is mapped.
pub(super) fn server_shrinks() -> Body {
    let act = "hold(page);\n\tputs(\"On the host: truncate -s 0 file. Then press Enter.\");\n\t\
               fflush(stdout);\n\tgetchar();\n\tif (stat(\"file\", &(struct stat){ 0 }))\n\t\t\
               die(\"stat\")";
    warns(act.to_owned())
}

/// The kernel warns of what is done here to a page that is loaded.
pub(super) fn warns(act: String) -> Body {
    let body = alone(&[HOLD_PIPE, WARNED], WARNS, None);
    let body = body.say("ACT", act).say("ACCESS", LOAD);
    body.at(
        RemovalKind::CopyOver,
        &files(FileSystem::Fuse, RemovalKind::CopyOver),
    )
}

fn under(pin: Pin, kind: RemovalKind, access: &str, between: &str) -> Result<Body, Reason> {
    let call = removal_call(&kind.op(&files(FileSystem::Fuse, kind), &page(kind)))?;
    story(pin, kind, call, Contract::MustWait, access, between)
}

fn story(
    pin: Pin,
    kind: RemovalKind,
    call: String,
    contract: Contract,
    access: &str,
    between: &str,
) -> Result<Body, Reason> {
    let body = waits(pin, call, contract)?;
    let body = body.say("ACCESS", access).say("BETWEEN", between);
    Ok(body.at(kind, &files(FileSystem::Fuse, kind)))
}

/// With this while the removal waits.
fn with_during(mut body: Body, during: &str) -> Body {
    body.words.insert(0, ("DURING", during.to_owned()));
    body
}

/// A file gets the higher inode number if it is made after the other one.
fn second_inode(kind: RemovalKind) -> Result<Body, Reason> {
    let mut body = with_during(under(Pin::Vmsplice, kind, STORE, "")?, KILL);
    body.words.insert(0, ("FILES", FILES_REVERSED.to_owned()));
    Ok(body)
}

const FILES_REVERSED: &str = "other = make(\"other\", @LENGTH@), fd = make(\"file\", @LENGTH@)";

fn copy_over() -> Result<String, Reason> {
    let kind = RemovalKind::CopyOver;
    removal_call(&kind.op(&files(FileSystem::Fuse, kind), &page(kind)))
}

/// The statement of a call that may fail.
pub(super) fn failing(call: &str) -> String {
    format!("if ({call})\n\t\tdie(\"a call\")")
}

fn stalls([parent, child, access]: [&str; 3], statement: &str) -> Body {
    alone(&[ENDED, HOLD_PIPE], STALLS, None)
        .say("PARENT", parent)
        .say("CHILD", child)
        .say("ACCESS", access)
        .say("STATEMENT", statement)
}

fn alone(functions: &[&'static str], main: &'static str, needs: Option<&'static str>) -> Body {
    Body {
        functions: functions.to_vec(),
        main,
        words: Vec::new(),
        needs,
    }
}
