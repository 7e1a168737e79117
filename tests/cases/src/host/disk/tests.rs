// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The disk against a client that speaks NBD by hand.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::host::delayed::SEED;

async fn connect(path: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
    stream.write_u32(3).await.unwrap();
    // An option that this kind of server does not know, then GO for the unnamed export.
    for (option, data) in [(8, &[][..]), (7, &[0; 6])] {
        stream.write_all(b"IHAVEOPT").await.unwrap();
        stream.write_u32(option).await.unwrap();
        stream.write_u32(data.len() as u32).await.unwrap();
        stream.write_all(data).await.unwrap();
    }
    assert_eq!(option_reply(&mut stream).await, (8, 0x8000_0001, vec![]));
    let (option, kind, info) = option_reply(&mut stream).await;
    assert_eq!(
        (option, kind, &info[2..10]),
        (7, 3, &SIZE.to_be_bytes()[..])
    );
    assert_eq!(option_reply(&mut stream).await, (7, 1, vec![]));
    stream
}

async fn option_reply(stream: &mut UnixStream) -> (u32, u32, Vec<u8>) {
    assert_eq!(stream.read_u64().await.unwrap(), 0x0003_e889_0455_65a9);
    let (option, kind) = (
        stream.read_u32().await.unwrap(),
        stream.read_u32().await.unwrap(),
    );
    let mut data = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut data).await.unwrap();
    (option, kind, data)
}

async fn ask(stream: &mut UnixStream, command: u16, cookie: u64, offset: u64, data: &[u8]) {
    stream.write_u32(0x2560_9513).await.unwrap();
    stream.write_u16(0).await.unwrap();
    stream.write_u16(command).await.unwrap();
    stream.write_u64(cookie).await.unwrap();
    stream.write_u64(offset).await.unwrap();
    stream.write_u32(512).await.unwrap();
    stream.write_all(data).await.unwrap();
}

/// Error and cookie.
async fn reply(stream: &mut UnixStream) -> (u32, u64) {
    assert_eq!(stream.read_u32().await.unwrap(), 0x6744_6698);
    (
        stream.read_u32().await.unwrap(),
        stream.read_u64().await.unwrap(),
    )
}

#[tokio::test]
async fn only_the_upper_part_is_delayed_and_each_request_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::serve(&dir.path().join("s")).unwrap();
    let mut client = connect(disk.path()).await;
    ask(&mut client, 0, 1, HELD_FROM, &[]).await;
    ask(&mut client, 1, 2, HELD_FROM + 512, &[7; 512]).await;
    ask(&mut client, 0, 3, 0, &[]).await;
    // The last request is answered first, because the others are delayed.
    assert_eq!(reply(&mut client).await, (0, 3));
    let mut data = [0; 512];
    client.read_exact(&mut data).await.unwrap();
    use guest_agent::pattern::{Seed, check};
    assert_eq!(check(Seed(SEED), 0, &data), Ok(()));

    let held = disk.held(HELD_FROM + 512).await.unwrap();
    assert_eq!((held.kind, held.len), (RequestKind::Write, 512));
    assert_eq!(held.data, [7; 512]);
    disk.release(HELD_FROM + 512).await.unwrap();
    assert_eq!(reply(&mut client).await, (0, 2));
    disk.held(HELD_FROM).await.unwrap();
    disk.release(HELD_FROM).await.unwrap();
    assert_eq!(reply(&mut client).await, (0, 1));
    let again = disk.release(HELD_FROM).await.unwrap_err();
    let not_held = DelayedError::NotHeld(HELD_FROM);
    assert!(matches!(again, DiskError::Delayed(error) if error == not_held));
}

#[tokio::test]
async fn a_request_beyond_the_end_and_an_unknown_one_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::serve(&dir.path().join("s")).unwrap();
    let mut client = connect(disk.path()).await;
    ask(&mut client, 0, 1, SIZE - 256, &[]).await;
    ask(&mut client, 4, 2, 0, &[]).await;
    assert_eq!(reply(&mut client).await, (22, 1));
    assert_eq!(reply(&mut client).await, (22, 2));
}
