#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/timed.sh TEST-EXECUTABLE [ARG…]
#
# cargo's runner for tests/run.sh: has a test harness that can do so tell the time of each test. That
# is an unstable option, asked for at run time, so that nothing is compiled in another way for it.
# A test with a harness of its own runs as it is.
set -eu

if RUSTC_BOOTSTRAP=1 "$1" --help 2>/dev/null | grep -q -e --report-time; then
    RUSTC_BOOTSTRAP=1 exec "$@" --format pretty -Z unstable-options --report-time
fi
exec "$@"
