// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each action of a script has its effect.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::pair::{PAGE, PATIENCE, quiet, start};
use crate::vhost::ChannelEnd;
use crate::window::{Action, CallKind, Script};

#[test]
fn a_script_changes_single_answers() {
    let pair = start(quiet());
    *pair.script.lock() = Script::new(|call| match (call.kind, call.nth) {
        (CallKind::Map, 1) => Action::Refuse(libc::ENOMEM),
        (CallKind::Map, 2) => Action::Answer(0),
        _ => Action::Proceed,
    });
    pair.map(0, 1).expect("as the rules say");
    pair.map(1, 1).expect_err("refused");
    pair.map(2, 1).expect("success, and nothing done");
    pair.map(3, 1).expect("as the rules say");
    assert_eq!(pair.mapped(), [(0, 1), (3, 1)]);
    let stats = pair.window.stats();
    assert_eq!((stats.maps, stats.refused, stats.fences), (2, 1, 1));
    assert_eq!(pair.channel.end(), ChannelEnd::Open);
}

#[test]
fn a_script_sees_what_is_asked() {
    let pair = start(quiet());
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let notes = Arc::clone(&seen);
    *pair.script.lock() = Script::new(move |call| {
        notes.lock().push((call.kind, call.at.0, call.len));
        Action::Proceed
    });
    pair.map(2, 3).expect("free");
    pair.unmap(2, 3).expect("mapped");
    pair.fence();
    let (at, len) = (2 * PAGE, 3 * PAGE);
    let expected = [
        (CallKind::Map, at, len),
        (CallKind::Unmap, at, len),
        (CallKind::Fence, 0, 0),
    ];
    assert_eq!(*seen.lock(), expected);
}

#[test]
fn a_script_can_close_the_channel() {
    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Unmap, 0, Action::CloseChannel);
    pair.map(0, 1).expect("as the rules say");
    pair.unmap(0, 1).expect_err("closed");
    assert_eq!(pair.window.mapped(), 1);
    let mut channel = pair.channel;
    channel.join();
    assert_eq!(channel.end(), ChannelEnd::Closed);
}

#[test]
fn a_script_can_answer_twice_or_never() {
    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Map, 0, Action::AnswerTwice);
    pair.map(0, 1).expect("the first answer");
    pair.unmap(0, 1).expect_err("an answer to something else");

    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Map, 0, Action::NeverAnswer);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| pair.map(0, 1));
        let deadline = Instant::now() + PATIENCE;
        while pair.window.mapped() == 0 {
            assert!(Instant::now() < deadline, "no mapping within {PATIENCE:?}");
            std::thread::yield_now();
        }
        assert!(!answer.is_finished());
        pair.channel.close();
        answer.join().expect("no panic").expect_err("closed");
    });
}
