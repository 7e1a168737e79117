// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs of the host that work in a share of a guest (`daxlab share --root host`).

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::lab::{Host, ShareCase, told};
use crate::scenario::{Group, Skip, Tests};
use crate::tests;

pub const GROUP: Group = Group {
    name: "programs",
    tests: Tests::Alone(tests![Alone:
        git_archives_python_and_a_database,
        compilers,
        a_database_server_that_crashes,
        layers_of_a_container,
    ]),
};

/// What is run in the share.
struct Work<'a> {
    /// The programs that the host has to have.
    needs: &'a [&'a str],
    /// Options for `daxlab share`.
    options: &'a [&'a str],
    /// The script, which ends with the first command that fails.
    script: &'a str,
}

/// How long a script may take, with a guest under emulation on a busy machine.
const TIME_OUT: Duration = Duration::from_secs(1800);
/// The digests of all regular files; what a program leaves is to be the same on both sides.
const DIGESTS: &str = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum";

impl Work<'_> {
    /// Plays it in a guest, and compares the bytes of all files that it leaves.
    async fn play(&self) -> Result<()> {
        for program in self.needs {
            if find(program).is_none() {
                let reason = format!("{program} is not installed on this host");
                return Err(Skip(reason).into());
            }
        }
        let case = ShareCase::new()?;
        let of_host = |name| env::var(name).with_context(|| format!("{name} is not set"));
        let script = format!(
            "exec 3>&1 >&2; set -eu; export HOME='{}' PATH='{}'; {}\n cd /share; {DIGESTS} >&3",
            of_host("HOME")?,
            of_host("PATH")?,
            self.script
        );
        let args = [
            &[case.dir()?, "--root", "host", "--memory", "2G"][..],
            self.options,
            &["--", "bash", "-c", &script],
        ];
        let output = case.run_within(TIME_OUT, &args.concat()).await?;
        ensure!(output.status.success(), "{}", told(&output));
        let here = Command::new("bash")
            .args(["-c", DIGESTS])
            .current_dir(case.on_host(""))
            .output()
            .await?;
        ensure!(!here.stdout.is_empty(), "nothing was compared");
        ensure!(
            here.stdout == output.stdout,
            "the guest has\n{}\nand the host\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&here.stdout)
        );
        case.expect_nothing_left().await
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(program));
    found
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or(false))
}

async fn git_archives_python_and_a_database(_host: &Host) -> Result<()> {
    let work = Work {
        needs: &["git", "rsync", "sqlite3", "tar", "python3"],
        options: &[],
        script: r#"
            export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
            export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a
            git init -q -b main seed
            for commit in 1 2 3; do
                seq $commit 90000 >seed/large
                echo $commit >seed/small-$commit
                git -C seed add .
                git -C seed commit -q -m "commit $commit"
            done
            git clone -q --no-hardlinks seed clone
            git -C clone checkout -q -b topic HEAD~1
            echo topic >clone/topic
            git -C clone add .
            git -C clone commit -q -m topic
            git -C clone rebase -q main
            git -C clone gc -q
            test -z "$(git -C clone status --porcelain)"
            git -C clone fsck --strict

            tar cf clone.tar clone
            mkdir by-tar
            tar xf clone.tar -C by-tar
            diff -r clone by-tar/clone
            rsync -a clone/ by-rsync
            echo more >>by-rsync/large
            rsync -a --inplace --checksum clone/ by-rsync
            diff -r clone by-rsync

            /usr/bin/env python3 - <<'PYTHON'
import mmap, os, socket, zipfile
with open("mapped", "w+b") as file:
    file.truncate(3 << 20)
    with mmap.mmap(file.fileno(), 0) as pages:
        for offset in range(0, 3 << 20, 4096):
            pages[offset:offset + 8] = offset.to_bytes(8, "little")
    file.seek(2 << 20)
    assert int.from_bytes(file.read(8), "little") == 2 << 20
with zipfile.ZipFile("all.zip", "w") as archive:
    archive.write("mapped")
    assert archive.testzip() is None
server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
server.bind("socket")
server.listen()
client.connect("socket")
client.sendall(b"hello")
assert server.accept()[0].recv(5) == b"hello"
os.mkfifo("fifo")
PYTHON

            sqlite3 data.db "pragma journal_mode = wal; create table t (text text);
                with recursive n(i) as (select 1 union all select i + 1 from n where i < 600)
                    insert into t select hex(randomblob(2000)) from n;" >/dev/null
            test "$(sqlite3 data.db 'pragma integrity_check; select count(*) from t')" = "ok
600"
        "#,
    };
    work.play().await
}

async fn compilers(_host: &Host) -> Result<()> {
    let work = Work {
        needs: &["gcc", "cargo"],
        options: &[],
        script: r#"
            printf '%s\n' '#include <math.h>' '#include <stdio.h>' \
                'int main(int n, char **a) { return printf("%.3f\n", sqrt(n + 1)) != 6; }' >root.c
            gcc -O2 -Wall -o root root.c -lm
            test "$(./root)" = 1.414
            cargo new --quiet --vcs none app
            cargo run --quiet --offline --manifest-path app/Cargo.toml >said
            grep -q 'Hello, world!' said
        "#,
    };
    work.play().await
}

/// PostgreSQL is killed with all its processes while clients change accounts. After its recovery
/// the balances are what the history says.
async fn a_database_server_that_crashes(_host: &Host) -> Result<()> {
    let work = Work {
        needs: &["initdb", "pgbench"],
        options: &[],
        script: r#"
            useradd -M database
            chmod 755 .
            install -d -o database data
            as() { runuser -u database -- "$@"; }
            PATH=$PATH:$(dirname "$(readlink -f "$(command -v initdb)")")
            export PGHOST=/tmp PGDATABASE=postgres
            as initdb -A trust --no-locale -E UTF8 -D data >/dev/null
            start() {
                as pg_ctl -w -t 300 -l /tmp/log -o "-k /tmp -c listen_addresses=" -D data start >/dev/null || {
                    cat /tmp/log
                    exit 1
                }
            }
            ask() { as psql -qAt -c "$1"; }
            start
            as pgbench -q -i -s 1
            as pgbench -n -c 2 -t 100000 >/dev/null 2>&1 &
            until [ "$(ask 'select count(*) from pgbench_history')" -ge 40 ]; do :; done
            pkill -KILL postgres
            wait
            start
            grep -q 'was not properly shut down' /tmp/log
            test "$(ask 'select count(*) from pgbench_history')" -ge 40
            test "$(ask 'select (select sum(abalance) from pgbench_accounts)
                = (select sum(delta) from pgbench_history)')" = t
            as pg_ctl -w -t 300 -D data stop >/dev/null
        "#,
    };
    work.play().await
}

/// Overlays on the share, one upon the other, as container engines make them.
async fn layers_of_a_container(_host: &Host) -> Result<()> {
    let work = Work {
        needs: &["python3"],
        // overlayfs keeps what it knows of a file in trusted attributes.
        options: &["--daemon", "--xattr --modcaps=+sys_admin"],
        script: r#"
            mkdir image first first-work second second-work merged
            seq 100000 >image/large
            mkdir image/folder
            echo old >image/folder/file
            overlay() {
                mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$2-work" merged
            }
            overlay image first
            rm -r merged/folder
            mkdir merged/folder
            echo new >merged/folder/file
            echo end >>merged/large
            umount merged
            overlay first:image second
            test "$(cat merged/folder/file)" = new
            test "$(tail -1 merged/large)" = end
            rm merged/large
            ln merged/folder/file merged/link
            umount merged
            overlay first:image second
            ! test -e merged/large
            test "$(stat -c %h merged/link)" = 2
            umount merged
            test "$(tail -1 image/large)" = 100000
            python3 -c 'import os
assert os.getxattr("first/folder", "trusted.overlay.opaque") == b"y"'
            test -c second/large
        "#,
    };
    work.play().await
}
