// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon detects its VMM's behaviour at INIT, and leaves out what this VMM does not need.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use virtiofs_driver::window::{Acknowledge, EmptyFile, ReadOnly, Rules, SizeCheck, Told};
use virtiofs_driver::{InitOptions, daemon};

use crate::http::{Samples, address, get};
use crate::rig::{Rig, ruled_by};

const METRICS: &str = "--metrics=127.0.0.1:0";

fn start(rules: Rules, more: &[&str]) -> Result<Rig> {
    let mut arguments = vec!["--dax-window=64M"];
    arguments.extend(more);
    Rig::start_with(daemon::daxd()?, &ruled_by(rules), &arguments)
}

/// The detected behaviour: needs views, enforces read-only, uses regions, answers after the effect.
fn shown(rig: &Rig) -> Result<[Value; 4]> {
    let address = address(&rig.daemon)?;
    let samples = Samples::take(&address)?;
    let json: Value = serde_json::from_str(&get(&address, "/window.json")?)?;
    let traits = [
        "needs_views",
        "enforces_read_only",
        "uses_regions",
        "answers_after_effect",
    ];
    let found = traits.map(|name| json["window"]["vmm"][name].clone());
    for (name, found) in traits.iter().zip(&found) {
        let metric = samples.of(&format!("vmm_behaviour{{trait=\"{name}\"}}"));
        let expected = found.as_bool().map(|yes| f64::from(u8::from(yes)));
        ensure!(metric == expected, "{name}: {metric:?}, {found}");
    }
    Ok(found)
}

/// The number of requests that prove an effect, for a mapping and its removal.
fn fences(rig: &mut Rig) -> Result<u64> {
    let (node, _) = rig.file("file", b"content")?;
    let window = rig.window()?;
    let before = window.stats().fences;
    rig.map(node, 3)?;
    rig.unmap(node, 3)?;
    Ok(window.stats().fences - before)
}

#[test]
fn what_a_vmm_does_is_found_out_and_nothing_else_is_left_out() -> Result<()> {
    let short_refused = Rules {
        empty_file: EmptyFile::Leave,
        ..Rules::qemu()
    };
    let tells_each = Rules {
        told: Told::Each,
        size_check: SizeCheck::Refuse,
        ..Rules::one_region()
    };
    let tells_nothing = Rules {
        told: Told::Nothing,
        ..Rules::one_region()
    };
    let lets_write = Rules {
        read_only: ReadOnly::MapWritable,
        ..Rules::one_region()
    };
    let [yes, no, unknown] = [json!(true), json!(false), Value::Null];
    // The rules, the expected behaviour, and the fences of a mapping and its removal.
    let table = [
        (Rules::qemu(), [&yes, &unknown, &yes, &no], 1),
        (Rules::one_region(), [&no, &yes, &no, &yes], 0),
        (short_refused, [&yes, &unknown, &unknown, &unknown], 1),
        (tells_each, [&yes, &unknown, &unknown, &unknown], 1),
        (tells_nothing, [&no, &yes, &unknown, &unknown], 1),
        (lets_write, [&no, &no, &no, &yes], 0),
    ];
    for (rules, expected, fenced) in table {
        for slots in [&[METRICS][..], &[METRICS, "--mem-slots"]] {
            let mut rig = start(rules, slots).with_context(|| format!("{rules:?}"))?;
            let found = shown(&rig)?;
            ensure!(found.each_ref() == expected, "{rules:?}: {found:?}");
            let fences = fences(&mut rig)?;
            ensure!(fences == fenced, "{rules:?}: {fences} fences");
            let log = rig.daemon.log();
            // doctor looks for the answers by this (qemu/src/vm/window.rs).
            ensure!(log.contains("::behaviour] "), "{rules:?}: {log}");
            let said = log.contains("nothing more is asked");
            ensure!(said == (fenced == 0), "{rules:?}: {log}");
        }
    }
    Ok(())
}

/// The daemon detects again at each INIT, and no longer relies on earlier answers.
#[test]
fn a_vmm_that_has_changed_is_found_out_by_the_next_driver() -> Result<()> {
    let mut rig = start(Rules::one_region(), &[METRICS])?;
    ensure!(fences(&mut rig)? == 0, "before");
    rig.vm.change_rules(Rules::qemu());
    rig.client.init(&InitOptions::linux())?;
    ensure!(fences(&mut rig)? == 1, "the effect may come later now");
    let found = shown(&rig)?;
    ensure!(found[2] == json!(true), "{found:?}");
    rig.vm.change_rules(Rules::one_region());
    rig.client.init(&InitOptions::linux())?;
    ensure!(fences(&mut rig)? == 0, "as before");
    Ok(())
}

/// An operator's limit of regions applies only to a VMM whose mappings are regions.
#[test]
fn there_is_no_limit_of_mappings_where_they_are_no_regions() -> Result<()> {
    for (rules, limit) in [(Rules::qemu(), Some(4)), (Rules::one_region(), None)] {
        let mut rig = start(rules, &["--max-regions=12"])?;
        let (node, _) = rig.file("file", b"content")?;
        let mapped = (0..32).take_while(|at| rig.map(node, *at).is_ok());
        let mapped = mapped.count();
        ensure!(mapped == limit.unwrap_or(32), "{mapped} ranges: {rules:?}");
    }
    Ok(())
}

/// The daemon waits for the effect if no answer proves it.
#[test]
fn a_vmm_that_answers_first_is_never_trusted() -> Result<()> {
    let rules = Rules {
        acknowledge: Acknowledge::BeforeEffect,
        ..Rules::qemu()
    };
    let mut rig = start(rules, &[])?;
    let log = rig.daemon.log();
    ensure!(log.contains("a second request has to prove it"), "{log}");
    ensure!(fences(&mut rig)? == 1);
    Ok(())
}
