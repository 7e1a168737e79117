// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Accesses to files of this machine, right ones and wrong ones.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::worker::Fault;
use crate::workload::lane::{End, Lane, Measured};
use crate::workload::opened::Opened;
use crate::workload::ticks::Rate;
use crate::workload::{Access, Files, PAGE, Pattern, Temperature, Work, make};

/// What is said of a page of zeros.
const WRONG_PAGE: &str = "the page has the stamp 0, but ";
const LONG: Duration = Duration::from_secs(600);
const FILES: Files = Files {
    size: 1 << 20,
    working: 3 << 19,
};

fn work(access: Access, pattern: Pattern) -> Work {
    Work {
        access,
        pattern,
        temperature: Temperature::Cold,
        files: FILES,
        threads: 1,
    }
}

/// A pass over the files in `dir`, with something done between it and the look at what it wrote.
fn pass(dir: &Path, work: &Work, between: impl FnOnce()) -> Result<Measured, Fault> {
    let opened = Opened::open(dir, work).unwrap();
    let mut lane = Lane::new(work, &opened, 0, 5);
    let measured = lane.run(End::Pass(LONG), Rate::of_this_machine(), &AtomicU64::new(0))?;
    between();
    lane.look_at_writes()?;
    Ok(measured)
}

/// Writes zeros over a page of the second file.
fn spoil(dir: &Path) {
    let file = File::options()
        .write(true)
        .open(dir.join(FILES.path(1)))
        .unwrap();
    file.write_all_at(&[0; PAGE as usize], 3 * PAGE).unwrap();
}

#[test]
fn each_access_goes_over_all_of_the_working_set() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), FILES).unwrap();
    for access in Access::ALL {
        let work = work(access, Pattern::Sequential);
        let told = pass(dir.path(), &work, || ())
            .unwrap()
            .told(Rate::of_this_machine());
        assert_eq!(told.bytes, FILES.working, "{access}");
        assert_eq!(told.accesses, FILES.working / work.block(), "{access}");
        let counted: u64 = told.latencies.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, told.accesses, "{access}");
    }
}

#[test]
fn a_page_of_another_file_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), FILES).unwrap();
    spoil(dir.path());
    for access in [Access::Read, Access::Load] {
        let fault = pass(dir.path(), &work(access, Pattern::Sequential), || ()).unwrap_err();
        let place = format!("{}, byte {}", FILES.path(1), 3 * PAGE);
        assert!(fault.doing.ends_with(&place), "{fault}");
        assert!(fault.message.starts_with(WRONG_PAGE), "{fault}");
    }
}

#[test]
fn a_write_that_is_lost_is_caught() {
    for access in [Access::Write, Access::Store] {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), FILES).unwrap();
        let files = || {
            std::fs::remove_dir_all(dir.path().join(FILES.folder())).unwrap();
            make(dir.path(), FILES).unwrap();
        };
        // The files that the lane has open are gone, and what it wrote to them stays.
        pass(dir.path(), &work(access, Pattern::Random), files).unwrap();
        let rewrite = || {
            for number in 0..FILES.count() {
                let file = File::options()
                    .write(true)
                    .open(dir.path().join(FILES.path(number)));
                let file = file.unwrap();
                let mut block = vec![0; FILES.part(number) as usize];
                crate::workload::fill(&mut block, FILES, number, 0, 4);
                file.write_all_at(&block, 0).unwrap();
            }
        };
        let fault = pass(dir.path(), &work(access, Pattern::Random), rewrite).unwrap_err();
        let lost = "written by turn 5, but what turn 4 wrote is read";
        assert_eq!(fault.message, lost, "{fault}");
    }
}

#[test]
fn files_are_made_once_and_those_of_other_sizes_go() {
    let dir = tempfile::tempdir().unwrap();
    let small = Files {
        size: 64 << 10,
        working: 128 << 10,
    };
    make(dir.path(), small).unwrap();
    std::fs::write(dir.path().join("pins"), "").unwrap();
    make(dir.path(), FILES).unwrap();
    assert!(!dir.path().join(small.folder()).exists());
    assert!(dir.path().join("pins").exists());
    spoil(dir.path());
    make(dir.path(), FILES).unwrap();
    let fault = pass(dir.path(), &work(Access::Read, Pattern::Sequential), || ()).unwrap_err();
    assert!(
        fault.message.starts_with(WRONG_PAGE),
        "they are not made again: {fault}"
    );
}
