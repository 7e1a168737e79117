#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/timed-doc.sh [ARG…]
#
# cargo's rustdoc for tests/run.sh, which may be asked for the time of each doc test. As in timed.sh,
# only rustdoc and what it runs hear of unstable options.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
