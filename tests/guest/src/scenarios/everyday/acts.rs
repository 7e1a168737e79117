// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The acts. Each has files larger than a range of the window, and these shrink, grow, are replaced
//! and overwritten.

use super::act::{Act, Side};

pub const HOST_COPIES: Act = Act {
    name: "copies",
    prepare: "seq 700000 > large; seq 1000 > small; cp large old; ln old other-name",
    side: Side::Host,
    round: r#"
        cp small old
        cp large old
        : > old
        seq "$ROUND" 300000 > old
    "#,
    check: "cmp old other-name",
};

pub const HOST_GIT: Act = Act {
    name: "git",
    prepare: r#"
        git init -q -b main seed
        cd seed
        for commit in 1 2 3 4; do
            seq "$commit" 400000 > large
            seq "$commit" > "small-$commit"
            git add .
            git commit -q -m "commit $commit"
        done
    "#,
    side: Side::Host,
    round: r#"
        rm -rf clone
        git clone -q --no-hardlinks seed clone
        cd clone
        git checkout -q -b topic HEAD~2
        seq "$ROUND" > topic
        git add .
        git commit -q -m topic
        git rebase -q main
        git checkout -q HEAD~3
        git checkout -q topic
        git gc -q
    "#,
    check: "git -C clone fsck --strict 2>&1",
};

pub const HOST_LOGROTATE: Act = Act {
    name: "logrotate",
    prepare: r#"
        seq 500000 > log
        printf '%s {\n copytruncate\n rotate 2\n nocompress\n missingok\n su root root\n}\n' \
            "$PWD/log" > conf
        chmod 644 conf
    "#,
    side: Side::Host,
    round: r#"
        /usr/sbin/logrotate -f -s "$PWD/state" conf
        seq "$ROUND" 400000 >> log
    "#,
    check: "test -s log && test -s log.1 && test -s log.2",
};

/// The same on both sides, except for the command line of rsync. dd makes the content of what is
/// there, because an emulated guest takes minutes for `seq`.
macro_rules! rsync {
    ($program:literal) => {
        concat!(
            "rm -f from/old\n",
            "dd if=lines bs=4k skip=$((ROUND % 90)) count=$((500 + ROUND * 5 % 200)) > from/grows\n",
            "dd if=lines bs=4k count=$((700 - ROUND * 90 % 500)) > from/shrinks\n",
            "dd if=lines bs=1k skip=$((ROUND % 900)) count=1 > from/small-$ROUND\n",
            $program,
            " -a --delete --inplace from/ in-place\n",
            $program,
            " -a --delete from/ by-rename\n",
        )
    };
}

pub const HOST_RSYNC: Act = Act {
    name: "host-rsync",
    prepare: RSYNC_PREPARES,
    side: Side::Host,
    round: rsync!("rsync"),
    check: RSYNC_IS_DONE,
};

pub const GUEST_RSYNC: Act = Act {
    name: "guest-rsync",
    prepare: RSYNC_PREPARES,
    side: Side::Guest,
    round: rsync!("/mnt/tools/bin/rsync"),
    check: RSYNC_IS_DONE,
};

const RSYNC_PREPARES: &str = "mkdir from; seq 500000 > lines; seq 400000 > from/old";
const RSYNC_IS_DONE: &str = r#"
    diff -r from in-place && diff -r from by-rename
    test $(stat -c %s from/grows) -gt 2000000
"#;

pub const HOST_EDITOR: Act = Act {
    name: "editor",
    prepare: "seq 400000 > in-place; seq 400000 > by-rename; seq 400000 > by-sed",
    side: Side::Host,
    round: r#"
        seq "$ROUND" $((ROUND * 97919 % 400000 + 400)) > in-place
        seq "$ROUND" $((ROUND * 77773 % 400000 + 400)) > .by-rename.swp
        mv .by-rename.swp by-rename
        sed -i "s/^1/$ROUND/" by-sed
    "#,
    check: "test -s in-place && test -s by-rename && test -s by-sed",
};

pub const HOST_DD: Act = Act {
    name: "dd",
    prepare: "dd if=/dev/urandom of=disk bs=1M count=16 2>&1; cp disk shrinks",
    side: Side::Host,
    round: r#"
        dd if=/dev/urandom of=disk bs=64k seek=$((ROUND * 37 % 240)) count=16 conv=notrunc 2>&1
        dd if=/dev/urandom of=disk bs=1M seek=$((ROUND % 16)) count=1 conv=notrunc oflag=direct 2>&1
        dd if=/dev/zero of=shrinks bs=1M count=$((ROUND % 5 + 1)) 2>&1
        fallocate -p -o 1M -l 2M disk
    "#,
    check: "test $(stat -c %s disk) = 16777216",
};

/// The same on both sides. Each round checkpoints the journal into the database and truncates it.
macro_rules! sqlite {
    ($program:literal) => {
        concat!(
            $program,
            " data.db \"
                pragma journal_mode = wal;
                create table if not exists t (round integer, text text);
                with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
                    insert into t select $ROUND, hex(randomblob(2000)) from n;
                pragma wal_checkpoint(truncate);
                delete from t where round < $ROUND - 2;
                vacuum;
            \" > /dev/null\n"
        )
    };
}

/// An empty journal may remain if both sides have the database open. That is in order.
const DATABASE_IS_SOUND: &str = r#"
    test "$(sqlite3 data.db 'pragma integrity_check')" = ok
    test "$(sqlite3 data.db 'select count(*) from t')" -ge 300
    test $(stat -c %s data.db) -gt 2100000
"#;

pub const HOST_SQLITE: Act = Act {
    name: "host-sqlite",
    prepare: "seq 1000 > beside",
    side: Side::Host,
    round: sqlite!("sqlite3"),
    check: DATABASE_IS_SOUND,
};

pub const GUEST_SQLITE: Act = Act {
    name: "guest-sqlite",
    prepare: "seq 1000 > beside",
    side: Side::Guest,
    round: sqlite!("/mnt/tools/bin/sqlite3"),
    check: DATABASE_IS_SOUND,
};

pub const GUEST_FILES: Act = Act {
    name: "guest-files",
    prepare: "seq 700000 > large; seq 1000 > small; cp large old; cp large disk; cp large mapped",
    side: Side::Guest,
    round: r#"
        cp small old
        cp large old
        dd if=large bs=4k skip=$((ROUND % 600)) count=$((ROUND * 197 % 530 + 1)) > in-place
        dd if=large bs=4k skip=$((ROUND % 600)) count=$((ROUND * 173 % 530 + 1)) > .by-rename.swp
        mv .by-rename.swp by-rename
        sed -i "s/^1/$ROUND/" small
        dd if=/dev/urandom of=disk bs=64k seek=$((ROUND * 37 % 60)) count=8 conv=notrunc
        truncate -s $((ROUND * 531441 % 3000000)) mapped
        cat small >> mapped
    "#,
    check: "cmp old large",
};
