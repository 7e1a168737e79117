// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Weak;

use virtiofsd::passthrough::InodeFileHandlesMode;

use super::*;
use crate::testing::{MUST_HAPPEN, Share, wait_until};

struct Case {
    share: Share,
    kept: KeptFiles,
}

impl Case {
    /// Descriptors are kept for as long as the test takes.
    fn new() -> Self {
        Self::keeping_for(100 * MUST_HAPPEN)
    }

    fn keeping_for(time: Duration) -> Self {
        let share = Share::with(InodeFileHandlesMode::Mandatory);
        share.init();
        let kept = KeptFiles::keeping_for(time).expect("a thread");
        Self { share, kept }
    }

    fn file(&self, name: &str) -> NodeId {
        self.share.put(name, b"content", 0o640);
        NodeId(self.share.look_up(name).inode)
    }

    fn ask(&self, node: NodeId) -> io::Result<Attr> {
        let context = Share::context();
        let answer = self.kept.attributes(&*self.share.fs, context, node, None);
        let (attr, timeout) = answer?;
        let (_, theirs) = self.share.fs.getattr(context, node.0, None)?;
        assert_eq!(timeout, theirs);
        Ok(attr)
    }

    /// The descriptor that is kept of this node.
    fn descriptor(&self, node: NodeId) -> Option<Weak<File>> {
        match &*self.kept.0.slot(node).lock() {
            Slot::Kept { node: of, file, .. } if *of == node => Some(Arc::downgrade(file)),
            _ => None,
        }
    }

    fn kept_file(&self, name: &str) -> (NodeId, Weak<File>) {
        let node = self.file(name);
        for _ in 0..2 {
            self.ask(node).expect("attributes");
        }
        (node, self.descriptor(node).expect("a descriptor"))
    }
}

#[test]
fn the_second_answer_keeps_a_descriptor_and_all_are_what_the_file_system_says() {
    let case = Case::new();
    let node = case.file("file");
    let path = case.share.path("file");
    for round in 0..4 {
        fs::write(&path, vec![0; 10 + round]).expect("content");
        let mode = 0o600 + round as u32;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let ours = case.ask(node).expect("attributes");
        let (theirs, _) = case
            .share
            .fs
            .getattr(Share::context(), node.0, None)
            .expect("attributes");
        let fields = |attr: &Attr| {
            let times = [attr.atime, attr.mtime, attr.ctime];
            let nanoseconds = [attr.atimensec, attr.mtimensec, attr.ctimensec];
            let owner = (attr.uid, attr.gid);
            let numbers = [attr.mode, attr.nlink, attr.rdev, attr.blksize, attr.flags];
            (
                attr.ino,
                attr.size,
                attr.blocks,
                times,
                nanoseconds,
                owner,
                numbers,
            )
        };
        assert_eq!(fields(&ours), fields(&theirs), "round {round}");
        assert_eq!(case.descriptor(node).is_some(), round > 0, "round {round}");
    }
}

#[test]
fn what_is_no_file_is_not_kept() {
    let case = Case::new();
    symlink("nowhere", case.share.path("link")).expect("a link");
    let node = NodeId(case.share.look_up("link").inode);
    for _ in 0..3 {
        case.ask(node).expect("attributes");
        assert!(case.descriptor(node).is_none());
    }
}

#[test]
fn a_descriptor_is_closed_after_its_time_and_the_closer_sleeps() {
    let case = Case::keeping_for(KEPT);
    let node = case.file("file");
    let begin = Instant::now();
    // On a busy machine the second question may come too late to keep it.
    let file = loop {
        case.ask(node).expect("attributes");
        if let Some(file) = case.descriptor(node) {
            break file;
        }
    };
    wait_until("the descriptor to be closed", || file.strong_count() == 0);
    assert!(begin.elapsed() >= KEPT, "closed too early");
    wait_until("the closer to know", || case.kept.0.closer.lock().kept == 0);
}

#[test]
fn a_file_that_the_guest_forgets_is_closed_and_its_node_gone() {
    let case = Case::new();
    let (node, file) = case.kept_file("file");
    case.share.fs.forget(Share::context(), node.0, 1);
    case.kept.forget(node);
    assert_eq!(file.strong_count(), 0);
    assert!(case.ask(node).is_err());
}

#[test]
fn a_file_that_was_forgotten_while_it_was_opened_is_not_kept() {
    let case = Case::new();
    let node = case.file("file");
    case.ask(node).expect("attributes");
    let Way::ThenKeep(asked) = case.kept.0.way(node) else {
        panic!("not asked before");
    };
    case.kept.forget_all();
    let open = || File::open(case.share.path("file")).expect("a file");
    case.kept.0.keep(node, asked, open(), Duration::ZERO);
    assert!(case.descriptor(node).is_none());
    // The next guest's first question is no reason either.
    case.ask(node).expect("attributes");
    case.kept.0.keep(node, asked, open(), Duration::ZERO);
    assert!(case.descriptor(node).is_none());
}

#[test]
fn a_removed_file_is_closed_and_the_file_system_answers() {
    let case = Case::new();
    let (node, file) = case.kept_file("file");
    fs::remove_file(case.share.path("file")).expect("removed");
    let answer = case.ask(node).expect_err("it is gone");
    assert_eq!(answer.raw_os_error(), Some(libc::ESTALE));
    assert_eq!(file.strong_count(), 0);
}

#[test]
fn two_files_of_one_slot_do_not_drive_each_other_out() {
    let case = Case::new();
    let (node, file) = case.kept_file("file");
    let other = NodeId(node.0 + KEPT_FILES as u64);
    assert!(matches!(case.kept.0.way(other), Way::AsEver));
    assert!(matches!(case.kept.0.way(other), Way::AsEver));
    assert_eq!(file.strong_count(), 1);
}

#[test]
fn the_end_closes_all_and_ends_the_thread() {
    let case = Case::new();
    let (_, file) = case.kept_file("file");
    let shared = Arc::downgrade(&case.kept.0);
    drop(case.kept);
    assert_eq!(file.strong_count(), 0);
    wait_until("the thread to end", || shared.strong_count() == 0);
}
