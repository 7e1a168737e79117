// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each message arrives unchanged, however its bytes are cut; other data is an error and never a
//! panic.

use guest_agent::wire::{
    Boot, Command, Decoder, Errno, ExecId, ExitStatus, Failure, FrameError, MAX_CHUNK, MAX_FRAME,
    Mount, Output, Pid, Preamble, Reply, Request, RequestId, STREAM_WINDOW, Signal, StdinKind,
    ToGuest, ToHost, TtySize, Version,
    flow::{ReturnCredit, SendCredit},
    frame::encode,
};
use proptest::{collection::vec, option, prelude::*};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..2000)
}

fn command() -> impl Strategy<Value = Command> {
    let size = (any::<u16>(), any::<u16>()).prop_map(|(rows, columns)| TtySize { rows, columns });
    let variables = vec((any::<String>(), any::<String>()), 0..4);
    let stdin = prop_oneof![Just(StdinKind::Piped), Just(StdinKind::Null)];
    (
        vec(any::<String>(), 0..5),
        variables,
        option::of(any::<String>()),
        option::of(any::<String>()),
        stdin,
        option::of(size),
    )
        .prop_map(|(argv, env, cwd, root, stdin, tty)| Command {
            argv,
            env,
            cwd,
            root,
            stdin,
            tty,
        })
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![Just(Output::Stdout), Just(Output::Stderr)]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any::<[String; 4]>().prop_map(|[source, target, fstype, options]| {
            Request::Mount(Mount {
                source,
                target,
                fstype,
                options,
            })
        }),
        any::<String>().prop_map(|target| Request::Umount { target }),
        (any::<String>(), any::<u32>(), bytes())
            .prop_map(|(path, mode, bytes)| Request::WriteFile { path, mode, bytes }),
        Just(Request::Sync),
        Just(Request::PowerOff),
    ]
}

fn to_guest() -> impl Strategy<Value = ToGuest> {
    let exec = any::<u32>().prop_map(ExecId);
    prop_oneof![
        (any::<u32>().prop_map(RequestId), request())
            .prop_map(|(id, request)| ToGuest::Request { id, request }),
        (exec.clone(), command()).prop_map(|(exec, command)| ToGuest::Exec { exec, command }),
        (exec.clone(), bytes()).prop_map(|(exec, bytes)| ToGuest::Stdin { exec, bytes }),
        (exec.clone(), output(), any::<u32>()).prop_map(|(exec, output, bytes)| ToGuest::Credit {
            exec,
            output,
            bytes
        }),
        (exec, any::<i32>().prop_map(Signal))
            .prop_map(|(exec, signal)| ToGuest::Signal { exec, signal }),
    ]
}

fn to_host() -> impl Strategy<Value = ToHost> {
    let exec = any::<u32>().prop_map(ExecId);
    let failure = (option::of(any::<i32>().prop_map(Errno)), any::<String>())
        .prop_map(|(errno, message)| Failure { errno, message });
    let status = prop_oneof![
        any::<u8>().prop_map(ExitStatus::Exited),
        any::<i32>().prop_map(|number| ExitStatus::Signaled(Signal(number))),
    ];
    prop_oneof![
        (any::<String>(), any::<u64>(), vec(any::<String>(), 0..3)).prop_map(
            |(kernel, uptime_ms, problems)| {
                ToHost::Hello(Boot {
                    kernel,
                    uptime_ms,
                    modules: 3,
                    problems,
                })
            }
        ),
        (
            any::<u32>().prop_map(RequestId),
            bytes(),
            failure.clone(),
            any::<bool>()
        )
            .prop_map(|(id, bytes, failure, good)| ToHost::Reply {
                id,
                outcome: if good {
                    Ok(Reply::File(bytes))
                } else {
                    Err(failure)
                },
            }),
        (exec.clone(), any::<i32>().prop_map(Pid))
            .prop_map(|(exec, pid)| ToHost::Started { exec, pid }),
        (exec.clone(), failure).prop_map(|(exec, failure)| ToHost::Refused { exec, failure }),
        (exec.clone(), output(), bytes()).prop_map(|(exec, output, bytes)| ToHost::Data {
            exec,
            output,
            bytes
        }),
        (exec, status).prop_map(|(exec, status)| ToHost::Exited { exec, status }),
    ]
}

/// Sends messages in pieces of the given sizes, over and over; gives what arrives.
fn through<M>(messages: &[M], cuts: &[usize]) -> Result<Vec<M>, FrameError>
where
    M: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut stream = Preamble::bytes().to_vec();
    for message in messages {
        stream.extend(encode(message)?);
    }
    let mut decoder = Decoder::new();
    let mut arrived = Vec::new();
    let mut cuts = cuts.iter().cycle();
    let mut rest = &*stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        decoder.push(piece);
        while let Some(message) = decoder.next()? {
            arrived.push(message);
        }
        rest = after;
    }
    Ok(arrived)
}

proptest! {
    #[test]
    fn messages_to_the_guest_arrive(
        messages in vec(to_guest(), 0..8),
        cuts in vec(1_usize..300, 1..5),
    ) {
        prop_assert_eq!(through(&messages, &cuts).unwrap(), messages);
    }

    #[test]
    fn messages_to_the_host_arrive(
        messages in vec(to_host(), 0..8),
        cuts in vec(1_usize..300, 1..5),
    ) {
        prop_assert_eq!(through(&messages, &cuts).unwrap(), messages);
    }

    #[test]
    fn hostile_bytes_are_no_panic(frames in vec(bytes(), 0..8), tail in bytes()) {
        let mut decoder = Decoder::<ToHost>::new();
        decoder.push(&Preamble::bytes());
        for frame in frames {
            decoder.push(&(frame.len() as u32).to_le_bytes());
            decoder.push(&frame);
        }
        decoder.push(&tail);
        // Each message takes at least the bytes of its length, so this ends.
        while let Ok(Some(_)) = decoder.next() {}
    }

    #[test]
    fn a_changed_byte_never_panics(
        message in to_guest(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let mut frame = encode(&message).unwrap();
        let at = at.index(frame.len());
        frame[at] = with;
        let mut decoder = Decoder::<ToGuest>::new();
        decoder.push(&Preamble::bytes());
        decoder.push(&frame);
        while let Ok(Some(_)) = decoder.next() {}
    }

    #[test]
    fn credit_is_never_lost(steps in vec((1_usize..=MAX_CHUNK, 0_usize..=MAX_CHUNK), 1..200)) {
        let (mut send, mut back) = (SendCredit::new(), ReturnCredit::default());
        let (mut held, mut passed) = (0, 0_u64);
        for (wanted, taken) in steps {
            let sent = send.available(wanted);
            send.spend(sent);
            held += sent;
            prop_assert!(held <= STREAM_WINDOW as usize);
            let taken = taken.min(held);
            held -= taken;
            passed += taken as u64;
            if let Some(bytes) = back.consume(taken) {
                prop_assert!(send.restore(bytes).is_ok());
            }
        }
        // A receiver that takes all that it holds always gets the sender going again.
        if let Some(bytes) = back.consume(held) {
            prop_assert!(send.restore(bytes).is_ok());
        }
        prop_assert!(send.available(1) == 1, "stuck after {passed} bytes");
        prop_assert!(send.restore(STREAM_WINDOW).is_err());
    }
}

#[test]
fn a_full_chunk_fits_one_write_of_the_driver() {
    let data = ToHost::Data {
        exec: ExecId(u32::MAX),
        output: Output::Stderr,
        bytes: vec![255; MAX_CHUNK],
    };
    assert!(encode(&data).unwrap().len() <= 32 * 1024);
}

#[test]
fn a_message_beyond_the_limit_is_refused_on_both_sides() {
    let long = ToGuest::Stdin {
        exec: ExecId(1),
        bytes: vec![0; MAX_FRAME],
    };
    assert!(matches!(encode(&long), Err(FrameError::TooLong { .. })));
    let mut decoder = Decoder::<ToGuest>::new();
    decoder.push(&Preamble::bytes());
    decoder.push(&(MAX_FRAME as u32 + 1).to_le_bytes());
    assert!(matches!(decoder.next(), Err(FrameError::TooLong { .. })));
}

#[test]
fn bytes_after_a_message_are_an_error() {
    let mut frame = encode(&ToGuest::StdinEof { exec: ExecId(1) }).unwrap();
    frame.push(0);
    let len = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&len.to_le_bytes());
    let mut decoder = Decoder::<ToGuest>::new();
    decoder.push(&Preamble::bytes());
    decoder.push(&frame);
    assert!(matches!(
        decoder.next(),
        Err(FrameError::Trailing { extra: 1, .. })
    ));
}

#[test]
fn another_version_is_told_apart_from_another_program() {
    let error = |preamble: &[u8]| {
        let mut decoder = Decoder::<ToHost>::new();
        decoder.push(preamble);
        decoder.next().unwrap_err().to_string()
    };
    assert_eq!(
        error(&Preamble::of(Version(7))),
        "protocol version 7 at the other end, 1 here: build lab and agent from the same tree"
    );
    assert!(error(b"login: root\r\n").contains("does not speak"));
}
