// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs that lock files, in a guest and on the host at once (`--locks host`).

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::lab::{Host, SHARE_TIME_OUT, ShareCase, ended, told};
use crate::scenario::{Group, Tests};
use crate::tests;

pub const GROUP: Group = Group {
    name: "locks",
    tests: Tests::Alone(tests![Alone: flock_of_both_sides, programs_of_both_sides]),
};

/// The daemon's options. The programs look at bytes that the other side writes.
const HOST: &str = "--locks host --cache never";
/// Between two looks at the share.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The guest finds that the host holds a lock, waits for it, and gets it. A daemon that leaves locks
/// to the guest's kernel shows what is seen then: nothing.
async fn flock_of_both_sides(_host: &Host) -> Result<()> {
    let script = "flock -n held true && echo free || echo busy; echo > waiting; flock held echo got
        flock -n mine sh -c 'echo > taken; while [ ! -e seen ]; do sleep 0.1; done'";
    for (options, first) in [(HOST, "busy"), ("--cache never", "free")] {
        let case = ShareCase::new()?;
        let held = File::create(case.on_host("held"))?;
        flock(&held, FlockOperation::LockExclusive)?;
        File::create(case.on_host("mine"))?;
        let args = [case.dir()?, "--root", "host", "--daemon", options];
        let child = case.start(&[&args[..], &["--", "sh", "-c", script]].concat())?;
        appears(&case, "waiting").await?;
        drop(held);
        appears(&case, "taken").await?;
        let mine = File::open(case.on_host("mine"))?;
        let is_free = flock(&mine, FlockOperation::NonBlockingLockExclusive).is_ok();
        fs::write(case.on_host("seen"), "")?;
        let output = ended(child).await?;
        ensure!(output.status.success(), "{}", told(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == format!("{first}\ngot\n"), "{options}: {said:?}");
        ensure!(is_free == (first == "free"), "{options}: the guest's own");
        case.expect_nothing_left().await?;
    }
    Ok(())
}

async fn appears(case: &ShareCase, name: &str) -> Result<()> {
    let begun = Instant::now();
    while !fs::exists(case.on_host(name))? {
        let waited = begun.elapsed();
        ensure!(waited < SHARE_TIME_OUT, "no {name} in {waited:?}");
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// A fork of workers, which adds up in files and in a database under locks of each kind. In the end two
/// of them wait for each other, and the kernel has to tell one of them.
const PROGRAM: &str = r#"
import errno, fcntl, os, sqlite3, sys
dir, workers, rounds, circle = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def add(how):
    with open(f"{dir}/{how}.lock", "r+") as lock:
        for _ in range(rounds):
            getattr(fcntl, how)(lock, fcntl.LOCK_EX)
            with open(f"{dir}/{how}.sum", "r+") as file:
                number = int(file.read())
                file.seek(0)
                file.write(f"{number + 1:08d}")
            getattr(fcntl, how)(lock, fcntl.LOCK_UN)

def insert():
    base = sqlite3.connect(f"{dir}/base", timeout=200, isolation_level=None)
    for _ in range(rounds):
        base.execute("begin immediate")
        base.execute("update sum set number = number + 1")
        base.execute("commit")
    base.close()

def work():
    add("flock")
    add("lockf")
    insert()

def wait_for_each_other(own, other, done, go):
    with open(f"{dir}/{circle}", "r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, own)
        os.write(done, b".")
        os.read(go, 1)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, other)
        except OSError as error:
            assert error.errno == errno.EDEADLK, error
            os._exit(35)

def forked(*steps):
    children = []
    for step, *arguments in steps:
        child = os.fork()
        if child == 0:
            step(*arguments)
            os._exit(0)
        children.append(child)
    return children

def ends(children):
    return sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)

assert ends(forked(*[(work,)] * workers)) == [0] * workers
held, done = os.pipe()
wait, go = os.pipe()
children = forked((wait_for_each_other, 0, 1, done, wait), (wait_for_each_other, 1, 0, done, wait))
os.read(held, 1)
os.read(held, 1)
os.write(go, b"..")
print(ends(children))
"#;

/// Workers on each side, and how often each of them adds.
const WORKERS: u32 = 3;
const ROUNDS: u32 = 20;

async fn programs_of_both_sides(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    for how in ["flock", "lockf"] {
        File::create(case.on_host(&format!("{how}.lock")))?;
        fs::write(case.on_host(&format!("{how}.sum")), "00000000")?;
    }
    // No side finds a circle that goes through the other one, so each has a file of its own for it.
    for side in ["guest", "host"] {
        File::create(case.on_host(side))?;
    }
    fs::write(case.on_host("program.py"), PROGRAM)?;
    let base = "import sqlite3,sys; base = sqlite3.connect(sys.argv[1]); \
        base.execute('create table sum (number)'); base.execute('insert into sum values (0)'); \
        base.commit()";
    python(&["-c", base, &path(&case, "base")?]).await?;
    let (workers, rounds) = (WORKERS.to_string(), ROUNDS.to_string());
    let script =
        format!("echo > begun; exec /usr/bin/python3 program.py . {workers} {rounds} guest");
    let args = [case.dir()?, "--root", "host", "--daemon", HOST];
    let child = case.start(&[&args[..], &["--", "sh", "-c", &script]].concat())?;
    appears(&case, "begun").await?;
    let program = path(&case, "program.py")?;
    let args = [program.as_str(), case.dir()?, &workers, &rounds, "host"];
    let (on_host, output) = (python(&args).await?, ended(child).await?);
    ensure!(output.status.success(), "{}", told(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said == "[0, 35]\n", "in the guest: {said:?}");
    ensure!(on_host == "[0, 35]\n", "on the host: {on_host:?}");
    for how in ["flock", "lockf"] {
        let sum = fs::read_to_string(case.on_host(&format!("{how}.sum")))?;
        ensure!(sum.parse() == Ok(2 * WORKERS * ROUNDS), "{how}: {sum}");
    }
    let sum = "import sqlite3,sys; base = sqlite3.connect(sys.argv[1]); \
        print(*base.execute('select number from sum').fetchone())";
    let sum = python(&["-c", sum, &path(&case, "base")?]).await?;
    ensure!(sum.trim().parse() == Ok(2 * WORKERS * ROUNDS), "{sum}");
    case.expect_nothing_left().await
}

fn path(case: &ShareCase, name: &str) -> Result<String> {
    let path = case.on_host(name);
    Ok(path.to_str().context("no UTF-8")?.to_owned())
}

/// Runs a program on the host; returns what it said.
async fn python(args: &[&str]) -> Result<String> {
    let output = Command::new("/usr/bin/python3").args(args).output().await?;
    ensure!(output.status.success(), "{}", told(&output));
    Ok(String::from_utf8(output.stdout)?)
}
