#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/ci/ktap-to-lava.sh RESULTS.ktap
#
# Tells LAVA each cell of a run: `lava-test-case NAME --result pass|fail|skip|unknown`, where
# unknown is a failure of the lab itself. LAVA_TEST_CASE names another command, for trying it out.
set -eu

# Cells are indented by two; LAVA wants no colons in a name.
sed -n 's/^  \(\(not \)\{0,1\}ok\) [0-9]* \([^ ]*\)\( # \([A-Z]*\)\)\{0,1\}.*/\1,\5,\3/p' "$1" |
    while IFS=, read -r ok directive name; do
        case $ok,$directive in
        *,SKIP) result=skip ;;
        *,ERROR) result=unknown ;;
        ok,*) result=pass ;;
        *) result=fail ;;
        esac
        # Standard input is the list's.
        ${LAVA_TEST_CASE:-lava-test-case} "$(echo "$name" | sed 's/::/./g')" --result $result </dev/null
    done
