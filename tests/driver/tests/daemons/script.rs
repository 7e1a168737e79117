// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM that misbehaves at one request.

use std::time::Duration;

use anyhow::Result;
use virtiofs_driver::window::{Action, CallKind, Gate, MainLoop, Rules};
use virtiofs_driver::{Body, FileOffset, NodeId, Request, Script, WindowOffset};

use crate::rig::{MUST_NOT_HAPPEN, PATIENCE, RANGE, Rig};

/// A rig in which this action applies to the first request of this kind (after the requests of
/// INIT, by which the daemon has learnt where the window is), and a file to map.
fn rig(kind: CallKind, action: Action) -> Result<(Rig, NodeId)> {
    let rules = Rules {
        // A separate thread, so that the test can hold the channel and go on otherwise.
        main_loop: MainLoop::Separate,
        ..Rules::qemu()
    };
    let mut rig = Rig::with_rules(rules)?;
    let (node, _) = rig.file("file", b"content")?;
    rig.vm.set_script(Script::once(kind, 0, action));
    Ok((rig, node))
}

fn map(rig: &mut Rig, node: NodeId) -> Result<(), virtiofs_driver::FuseError> {
    let (from, at) = (FileOffset(0), WindowOffset(0));
    rig.client.setup_mapping(node, from, RANGE, at, true)
}

fn begin_to_map(rig: &mut Rig, node: NodeId) -> Result<()> {
    let body = Body::setup_mapping(FileOffset(0), RANGE, WindowOffset(0), true);
    rig.client.pipeline().submit(&Request::new(node, body))?;
    Ok(rig.client.pipeline().kick()?)
}

#[test]
fn a_refusal_is_an_error_to_the_guest_and_the_next_try_succeeds() -> Result<()> {
    let (mut rig, node) = rig(CallKind::Map, Action::Refuse(libc::ENOMEM))?;
    let error = map(&mut rig, node).expect_err("refused");
    assert!(error.errno().is_some(), "{error}");
    let window = rig.window()?;
    assert_eq!((window.mapped(), window.stats().refused), (0, 1));
    map(&mut rig, node)?;
    assert_eq!(window.mapped(), 1);
    Ok(())
}

#[test]
fn the_guest_waits_for_an_effect_that_is_acknowledged() -> Result<()> {
    let gate = Gate::new();
    let (mut rig, node) = rig(CallKind::Map, Action::HoldEffect(gate.clone()))?;
    begin_to_map(&mut rig, node)?;
    assert!(
        gate.wait_until_reached(PATIENCE),
        "no SHMEM_MAP within {PATIENCE:?}"
    );
    std::thread::sleep(MUST_NOT_HAPPEN);
    assert!(
        rig.client.pipeline().poll()?.is_none(),
        "answered before the effect"
    );
    assert_eq!(rig.window()?.mapped(), 0);
    gate.open();
    rig.client.pipeline().complete()?.result?;
    assert_eq!(rig.window()?.mapped(), 1);
    Ok(())
}

#[test]
fn a_late_answer_is_waited_for() -> Result<()> {
    for action in [Action::Delay(Duration::from_millis(30)), Action::Proceed] {
        let (mut rig, node) = rig(CallKind::Map, action)?;
        map(&mut rig, node)?;
        assert_eq!(rig.window()?.mapped(), 1);
    }
    Ok(())
}

#[test]
fn a_channel_that_closes_is_an_error_and_files_go_on() -> Result<()> {
    for kind in [CallKind::Map, CallKind::Fence] {
        let (mut rig, node) = rig(kind, Action::CloseChannel)?;
        map(&mut rig, node).expect_err("the channel is closed");
        assert_eq!(rig.client.getattr(node, None)?.size, 7);
        map(&mut rig, node).expect_err("there is no channel any more");
        assert!(rig.daemon.try_wait().is_none(), "{}", rig.daemon.log());
    }
    Ok(())
}

#[test]
fn a_vm_can_be_dropped_while_an_answer_is_held_or_never_comes() -> Result<()> {
    let gate = Gate::new();
    for action in [
        Action::Hold(gate.clone()),
        Action::HoldEffect(gate),
        Action::NeverAnswer,
    ] {
        let never = matches!(action, Action::NeverAnswer);
        let (mut rig, node) = rig(CallKind::Map, action)?;
        begin_to_map(&mut rig, node)?;
        if never {
            std::thread::sleep(MUST_NOT_HAPPEN);
            assert!(
                rig.client.pipeline().poll()?.is_none(),
                "answered without an answer"
            );
        }
        let Rig {
            client,
            vm,
            mut daemon,
        } = rig;
        drop((client, vm));
        assert!(daemon.wait()?.success(), "{}", daemon.log());
    }
    Ok(())
}

#[test]
fn a_second_answer_is_no_answer_to_the_next_question() -> Result<()> {
    let (mut rig, node) = rig(CallKind::Map, Action::AnswerTwice)?;
    // In any case: if the guest is told "mapped", the mapping is in effect.
    if map(&mut rig, node).is_ok() {
        assert_eq!(rig.window()?.mapped(), 1);
    }
    assert_eq!(rig.client.getattr(node, None)?.size, 7);
    assert!(rig.daemon.try_wait().is_none(), "{}", rig.daemon.log());
    Ok(())
}

#[test]
fn a_fence_that_succeeds_is_no_fence() -> Result<()> {
    let (mut rig, node) = rig(CallKind::Fence, Action::Answer(0))?;
    map(&mut rig, node).expect_err("nothing shows that the mapping is in effect");
    Ok(())
}
