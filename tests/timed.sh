#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/timed.sh TEST-EXECUTABLE [ARG…]
#
# cargo's runner for tests/run.sh: tells the time of each test. The standard harness can do so itself:
# that is an unstable option, asked for at run time, so that nothing is compiled in another way for
# it. The tests of another harness (libtest-mimic) run one by one.
set -eu

if RUSTC_BOOTSTRAP=1 "$1" --help 2>/dev/null | grep -q -e --report-time; then
    RUSTC_BOOTSTRAP=1 exec "$@" --format pretty -Z unstable-options --report-time
fi

program=$1
list=$("$program" --list --format terse)
names=$(echo "$list" | sed -n 's/: test$//p')
status=0
for name in $names; do
    begin=$(date +%s%3N)
    outcome=ok
    output=$("$program" --exact "$name" --format pretty 2>&1) || outcome=FAILED
    case $output in *" ... ignored"*) outcome=ignored ;; esac
    took=$(($(date +%s%3N) - begin))
    printf 'test %s ... %s <%d.%03ds>\n' "$name" "$outcome" $((took / 1000)) $((took % 1000))
    if [ "$outcome" != ok ]; then
        echo "$output"
    fi
    if [ "$outcome" = FAILED ]; then
        status=101
    fi
done
exit $status
