// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::*;
use crate::{Shard, lab::fixture};

/// Distributes a run's cells to shards in turn.
fn shards(run: &Run, of: u32) -> Vec<(PathBuf, Run)> {
    let shard = |index: u32| {
        let (skip, step) = (index as usize, of as usize);
        let part = Run {
            shard: Some(Shard { index, of }),
            cells: run.cells.iter().skip(skip).step_by(step).cloned().collect(),
            ..run.clone()
        };
        (PathBuf::from(format!("{index}/results.json")), part)
    };
    (0..of).map(shard).collect()
}

#[test]
fn shards_come_back_as_the_run() {
    let run = fixture::small();
    for of in 1..=9 {
        let mut parts = shards(&run, of);
        parts.reverse();
        let merged = merge(parts).unwrap();
        assert_eq!(merged.run, run, "{of} shards");
        assert!(merged.missing.is_empty());
    }
}

#[test]
fn missing_shards_are_named() {
    let mut parts = shards(&fixture::small(), 4);
    parts.remove(1);
    parts.pop();
    let merged = merge(parts).unwrap();
    assert_eq!(merged.missing, [1, 3]);
    assert_eq!(merged.run.cells.len(), 4);
}

#[test]
fn runs_of_other_kernels_are_merged_without_shards() {
    let parts = ["a", "b"].map(|kernel| {
        let mut run = fixture::complete(&[kernel]);
        run.host.cpu = format!("cpu {kernel}");
        run.host.cores = if kernel == "a" { 8 } else { 4 };
        (PathBuf::from(kernel), run)
    });
    let merged = merge(parts.into()).unwrap();
    assert_eq!(merged.run.cells.len(), 2 * 690);
    let host = merged.run.host;
    assert_eq!((host.cpu.as_str(), host.cores), ("cpu a / cpu b", 4));
    assert_eq!(host.accel, "tcg");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let told = |change: fn(&mut Vec<(PathBuf, Run)>)| {
        let mut parts = shards(&fixture::small(), 2);
        change(&mut parts);
        merge(parts).unwrap_err().to_string()
    };
    let version = told(|parts| parts[1].1.lab_version = "0.2.0".into());
    assert!(
        version.contains("1/results.json of daxlab 0.2.0"),
        "{version}"
    );
    let kernel = told(|parts| parts[1].1.cells[0].release = "6.12.1".into());
    assert!(
        kernel.contains("kernel debian:6.12 is 6.12.117 in 0/"),
        "{kernel}"
    );
    let twice = told(|parts| {
        let cell = parts[0].1.cells[0].clone();
        parts[1].1.cells.push(cell);
    });
    let cell = "matrix::fuse::dio-read::truncate@debian:6.12#1";
    assert_eq!(
        twice,
        format!("{cell} is in 0/results.json and in 1/results.json")
    );
    let whole = told(|parts| parts[1].1.shard = None);
    assert!(whole.contains("0/results.json is shard 0/2, 1/results.json is no shard"));
    let other = told(|parts| parts[1].1.shard = Some(Shard { index: 1, of: 3 }));
    assert!(other.contains("is shard 1/3"), "{other}");
}

#[test]
fn the_command_is_that_of_the_whole_run() {
    let mut parts = shards(&fixture::small(), 2);
    parts[0].1.command = ["daxlab", "test", "--shard", "0/2", "--all", "--shard=0/2"]
        .map(String::from)
        .into();
    assert_eq!(
        merge(parts).unwrap().run.command,
        ["daxlab", "test", "--all"]
    );
}
