// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system against system calls. Where it can't be mounted, the tests do nothing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread;

use guest_agent::pattern::{self, Seed};

use super::*;
use crate::host::RequestKind;
use crate::host::delayed::{HELD_FROM, SEED};

/// The share in a folder of its own, if this host permits the mount.
fn mounted() -> Option<(tempfile::TempDir, HeldShare)> {
    let dir = tempfile::tempdir().unwrap();
    let share = HeldShare::mount(&dir.path().join("held"));
    match share {
        Ok(share) => Some((dir, share)),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn file(share: &HeldShare) -> File {
    let path = share.dir.join(file::FILE_NAME);
    File::options().read(true).write(true).open(path).unwrap()
}

#[tokio::test]
async fn only_the_upper_part_is_delayed() {
    let Some((dir, share)) = mounted() else {
        return;
    };
    let opened = file(&share);
    let mut data = [0; 512];
    opened.read_exact_at(&mut data, 4096).unwrap();
    assert_eq!(pattern::check(Seed(SEED), 4096, &data), Ok(()));

    let reader = file(&share);
    let read = thread::spawn(move || {
        let mut data = [0; 512];
        reader.read_exact_at(&mut data, HELD_FROM).map(|()| data)
    });
    let request = share.held(HELD_FROM).await.unwrap();
    assert_eq!((request.kind, request.len), (RequestKind::Read, 512));
    assert!(!read.is_finished());
    // A request at another offset does not disturb this one.
    opened.write_all_at(&[7; 512], 0).unwrap();
    share.release(HELD_FROM).unwrap();
    let data = read.join().unwrap().unwrap();
    assert_eq!(pattern::check(Seed(SEED), HELD_FROM, &data), Ok(()));
    let again = share.release(HELD_FROM).unwrap_err();
    let not_held = DelayedError::NotHeld(HELD_FROM);
    assert!(matches!(again, HeldShareError::Delayed(error) if error == not_held));

    drop((opened, share));
    dir.close().expect("nothing is mounted there any more");
}

#[tokio::test]
async fn the_end_answers_what_is_delayed_and_what_comes_later() {
    let Some((_dir, share)) = mounted() else {
        return;
    };
    let end = share.release_at_end();
    let writer = file(&share);
    let write = thread::spawn(move || {
        writer.write_all_at(&[7; 512], HELD_FROM)?;
        writer.write_all_at(&[7; 512], HELD_FROM)
    });
    let request = share.held(HELD_FROM).await.unwrap();
    assert_eq!(
        (request.kind, request.data),
        (RequestKind::Write, vec![7; 512])
    );
    drop(end);
    write.join().unwrap().unwrap();
}

#[test]
fn the_file_is_in_a_share_too_until_the_end() {
    let Some((dir, mut share)) = mounted() else {
        return;
    };
    let folder = dir.path().join("share");
    fs::create_dir(&folder).unwrap();
    share.mount_file_in(&folder).unwrap();
    let path = folder.join(IN_WINDOW_SHARE);
    let mut data = [0; 512];
    let opened = File::open(&path).unwrap();
    opened.read_exact_at(&mut data, 4096).unwrap();
    assert_eq!(pattern::check(Seed(SEED), 4096, &data), Ok(()));

    drop((opened, share));
    assert_eq!(fs::metadata(path).unwrap().len(), 0);
    dir.close().expect("nothing is mounted there any more");
}
