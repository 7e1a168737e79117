#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/fuzz.sh [TARGET…] [--seconds N | --runs N | --input FILE | --merge] [--sanitizer NAME]
# tests/fuzz.sh --build | --seeds
#
# Builds the fuzz targets and runs each, or those named, for N seconds (default: 15) or N inputs, as
# many at a time as there are processors.
# It installs what a fresh Debian lacks. A stable tool chain is enough.
#
#   --input FILE      play one input, an artifact for one, and say what came of it (one TARGET)
#   --merge           write what was found and reaches new code to tests/fuzz/corpus, small
#   --build           build the targets, and run nothing
#   --seeds           make all seeds in tests/fuzz/corpus anew, and run nothing
#   --sanitizer NAME  none (default) or address: five times slower, and sees every stray access
#
# What a run finds new is kept in target/fuzz/corpus, what breaks a rule in tests/fuzz/artifacts.
# Exit status: 0 nothing was found, 1 something was, or it can't run, 2 usage.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"

CARGO_FUZZ_VERSION=0.13.2
# An input that waits for longer than this waits for ever, on however busy a machine. Processor time
# is measured by the targets themselves.
TIMEOUT=60
# Sizes of inputs, and of the process, in bytes and MiB.
MAX_LEN=8192
MAX_RSS=2048

usage() {
    sed -n '/^# tests\/fuzz.sh/,/^# Exit status/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# number ARG: fails the script unless it is one.
number() {
    case $1 in
    '' | *[!0-9]*) usage ;;
    esac
    echo "$1"
}

all_targets() {
    for file in "$here"/tests/fuzz/src/targets/*.rs; do basename "$file" .rs; done | grep -vx mod
}

# The compiler of libFuzzer itself.
fuzz_packages() {
    echo "g++ /usr/bin/g++"
}

limit=-max_total_time=15
input=
merge=
build_only=
seeds=
sanitizer=none
targets=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) limit=-max_total_time=$(number "${2:-}") || exit 2 ;;
    --runs) limit=-runs=$(number "${2:-}") || exit 2 ;;
    --input) input=$(realpath -e "${2:-}") || usage ;;
    --sanitizer) sanitizer=${2:-} ;;
    --merge) merge=yes ;;
    --build) build_only=yes ;;
    --seeds) seeds=yes ;;
    --* | -*) usage ;;
    *)
        all_targets | grep -qx "$1" || fail "no target '$1'; there are: $(all_targets | tr '\n' ' ')"
        targets="$targets $1"
        ;;
    esac
    case $1 in
    --merge | --build | --seeds | [!-]*) shift ;;
    *) shift 2 ;;
    esac
done
case $sanitizer in none | address) ;; *) usage ;; esac
if [ -n "$input" ] && [ "$(echo "$targets" | wc -w)" -ne 1 ]; then usage; fi
[ -n "$targets" ] || targets=$(all_targets)

need_root
need_cargo
need_packages fuzz_packages
if [ -n "$seeds" ]; then
    cd "$here" && exec cargo run --quiet -p daxd-fuzz --example seeds tests/fuzz/corpus
fi

case ${CARGO_TARGET_DIR:-} in
'') target=$here/target ;;
/*) target=$CARGO_TARGET_DIR ;;
*) target=$PWD/$CARGO_TARGET_DIR ;;
esac
fuzz=$target/fuzz
tools=$fuzz/tools
build=$fuzz/$sanitizer
cd "$here/tests/fuzz"

[ "$("$tools/bin/cargo-fuzz" --version 2>/dev/null)" = "cargo-fuzz $CARGO_FUZZ_VERSION" ] ||
    cargo install --quiet cargo-fuzz --version $CARGO_FUZZ_VERSION --locked --force \
        --target-dir "$tools/build" --root "$tools" >&2 || fail "cargo-fuzz can't be installed"
# Coverage and sanitizers are unstable options of a stable compiler.
RUSTC_BOOTSTRAP=1 PATH="$tools/bin:$PATH" cargo fuzz build --sanitizer "$sanitizer" \
    --features libfuzzer --fuzz-dir . --target-dir "$build" >"$fuzz/build.log" 2>&1 ||
    { cat "$fuzz/build.log" >&2 && fail "the fuzz targets don't build"; }
[ -z "$build_only" ] || exit 0

# libfuzzer TARGET ARG…: runs a target. Its paths are relative: see src/fixture/mod.rs.
libfuzzer() {
    named=$1
    shift
    DAXD_FUZZ_TARGET=$named "$build/x86_64-unknown-linux-gnu/release/targets" \
        -timeout=$TIMEOUT -max_len=$MAX_LEN -rss_limit_mb=$MAX_RSS -malloc_limit_mb=64 "$@"
}

# stat NAME LOG: a number of libFuzzer's final statistics.
stat() {
    sed -n "s/^stat::$1: *//p" "$2"
}

run() {
    mkdir -p "artifacts/$1" "$fuzz/corpus/$1"
    log=$fuzz/$1.log
    if libfuzzer "$1" "$limit" -print_final_stats=1 -artifact_prefix="artifacts/$1/" \
        "$fuzz/corpus/$1" "corpus/$1" >"$log" 2>&1; then
        coverage=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
        echo "$1: $(stat number_of_executed_units "$log") inputs," \
            "$(stat average_exec_per_sec "$log") a second, $coverage edges," \
            "$(stat peak_rss_mb "$log") MiB"
        return
    fi
    grep -E -A2 'panicked at|ERROR: |SUMMARY: ' "$log" | head -20 || :
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "$1: FAILED; all it said is in $log"
    [ -z "$artifact" ] || echo "  again: tests/fuzz.sh $1 --input tests/fuzz/$artifact"
    return 1
}

# Everything that reaches an edge that nothing smaller reaches: how often is left out, which would
# keep ten times as many.
merge() {
    merged=$fuzz/merged/$1
    rm -rf "$merged" && mkdir -p "$merged" "$fuzz/corpus/$1"
    libfuzzer "$1" -set_cover_merge=1 -use_counters=0 "$merged" "corpus/$1" "$fuzz/corpus/$1" \
        >"$fuzz/$1.log" 2>&1 || fail "merging $1 failed; see $fuzz/$1.log"
    # Seeds and what was found once stay by name.
    for file in "$merged"/*; do
        cmp -s "$file" "corpus/$1/$(basename "$file")" && continue
        for kept in "corpus/$1"/*; do
            if cmp -s "$file" "$kept"; then continue 2; fi
        done
        cp "$file" "corpus/$1/"
    done
    echo "$1: $(find "corpus/$1" -type f | wc -l) files, $(du -sb "corpus/$1" | cut -f1) bytes"
}

# Each has a processor, and what it says stays together.
run_all() {
    processors=$(nproc)
    # shellcheck disable=SC2086 # a word for each target
    set -- $targets
    while [ $# -gt 0 ]; do
        begun=
        while [ $# -gt 0 ] && [ "$(echo "$begun" | wc -w)" -lt "$processors" ]; do
            run "$1" >"$fuzz/$1.said" 2>&1 &
            begun="$begun $1=$!"
            shift
        done
        for one in $begun; do
            wait "${one#*=}" || failed=yes
            cat "$fuzz/${one%=*}.said"
        done
    done
}

failed=
if [ -z "$input$merge" ]; then
    run_all
    targets=
fi
for name in $targets; do
    if [ -n "$input" ]; then
        mkdir -p "artifacts/$name"
        libfuzzer "$name" -artifact_prefix="artifacts/$name/" \
            "$(realpath --relative-to=. "$input")" || failed=yes
    else
        merge "$name"
    fi
done
[ -z "$failed" ] || exit 1
