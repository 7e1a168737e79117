#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# tests/run.sh [FILTER…]
# tests/run.sh quick
#
# Runs every check: format, lints, unit, property and doc tests, each fuzz target for 6 seconds, the
# benchmarks for a moment, the daemon's faults with a short soak, its page in a browser, and the tests
# in real guests: on stock QEMU, and those that depend on what a window is on the QEMU with this
# project's patches too, which is built meanwhile. It installs what a fresh Debian lacks and fetches
# what guests need. With FILTERs it runs only the guest tests whose names contain one of them, the lab
# if one is `lab`, the benchmarks if one is `bench`, the daemon's faults if one is `daemon-faults`, its
# page if one is `page`, the instructions of a request if one is `instructions`; and, only by these names:
# the Debian packages in fresh Debian systems if one is `packages`, libvirt there if one is `libvirt`.
# `tests/run.sh quick` is for the loop of editing and trying: format, lints, unit
# tests, one guest, and one cell of the lab a file system, with unoptimised programs. DAXLAB_QEMU names
# one QEMU for all guests. It prints a line for each test with its time, and where the time went at the
# end; the logs of failures are in target/guest-tests, the lab's and the benchmarks' reports in
# target/lab, those of fuzzing in target/fuzz.
set -eu

# --help is what stands above.
case " $* " in
*' -h '* | *' --help '*)
    sed -n '4,/^set -eu$/s/^#\{1,\} \{0,1\}//p' "$0"
    exit
    ;;
esac
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=qemu/packages.sh
. "$here/qemu/packages.sh"
# shellcheck source=qemu/programs.sh
. "$here/qemu/programs.sh"
cd "$here"

# The versions of what others exercise file systems with; their results are compared between runs.
FSX_VERSION=0.3.2
PJDFSTEST_VERSION=0.2.2
TARGET=${CARGO_TARGET_DIR:-target}
# One failure must not hide what comes after it, so the outcomes of all steps are collected here: a
# line each with seconds, outcome and name. A run beside another one adds to that one's.
outcomes=${RUN_BESIDE:-$(mktemp)}
start=$(date +%s)
# The runs beside this one, while there are some, each as process:log.
beside=
# The build of the series' QEMU, while there is one.
qemu=
trap 'end_all' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND…: runs it and says how long it took; fails as the command does.
step() {
    name=$1
    shift
    echo "== $name"
    begin=$(date +%s)
    outcome=ok
    "$@" || outcome=FAILED
    took=$(($(date +%s) - begin))
    echo "== $name: $outcome ($took s)"
    echo "$took $outcome $name" >>"$outcomes"
    [ $outcome = ok ]
}

# begin_beside COMMAND…: runs steps beside those that follow. Their output is kept for join_beside.
# Their mounts are their own: a guest test fails if any mount is left.
begin_beside() {
    log=$(mktemp)
    RUN_BESIDE=$outcomes unshare --mount "$here/tests/run.sh" "$@" >"$log" 2>&1 &
    beside="$beside $!:$log"
}

# join_beside: shows their output, one run after the other, and waits for their ends.
join_beside() {
    for run in $beside; do
        tail -n +1 -f --pid="${run%%:*}" "${run#*:}"
        wait "${run%%:*}" || echo "0 FAILED a run beside this one" >>"$outcomes"
        rm -f "${run#*:}"
    done
    beside=
}

format() {
    cargo fmt --all --check
}

lints() {
    cargo clippy --quiet --workspace --all-targets -- -D warnings
}

# unit_tests [--no-run]
unit_tests() {
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$here/tests/timed.sh" \
        cargo test --quiet --workspace --lib --bins --tests --no-fail-fast "$@"
}

doc_tests() {
    RUSTDOC="$here/tests/timed-doc.sh" cargo test --quiet --workspace --doc --no-fail-fast -- \
        --format pretty -Z unstable-options --report-time
}

# build_for_guests [--release]: what guests, the lab and the daemon's faults are played with.
build_for_guests() {
    # One at a time, as the other scripts do: dependencies get the features that a call's packages
    # want, and would be built again by the other script.
    for package in virtiofs-daxd qemu-guard daxlab guest-tests daemon-faults; do
        cargo build --quiet "$@" -p $package || return
    done
    build_static --quiet -p guest-agent || return
    install_static fsx $FSX_VERSION && install_static pjdfstest $PJDFSTEST_VERSION
}

# install_static CRATE VERSION: builds the program of that name from the registry, once.
install_static() {
    [ -x "$TARGET/$1/bin/$1" ] ||
        RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
            cargo install --quiet "$1" --version "$2" --locked --target $STATIC_TARGET \
            --target-dir "$TARGET/$1/build" --root "$TARGET/$1"
}

# Debian's kernel, and those built here. The small one boots in half the processor time, so most guest
# tests of a whole run have it; Debian's is that of the tests that are run by name.
DEBIAN=debian:6.12
SMALL=build:6.12
SEED=$SMALL+seed
NOWAIT=$SMALL+nowait
guest_kernel=$DEBIAN

# begin_qemu: builds the series' QEMU with what processor time other work leaves.
begin_qemu() {
    mkdir -p "$TARGET"
    nice -n 19 "$TARGET/release/daxlab" qemu build >"$TARGET/qemu-build.log" 2>&1 &
    qemu=$!
}

# join_qemu: waits for it, and shows how it goes on.
join_qemu() {
    tail -n +1 -f --pid=$qemu "$TARGET/qemu-build.log"
    status=0
    wait $qemu || status=$?
    qemu=
    [ $status -eq 0 ] || {
        echo "QEMU with this project's patches could not be built, so nothing was played on it"
        return 1
    }
}

# end_tree PROCESS: ends it and what it has started.
end_tree() {
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do end_tree "$child"; done
    kill "$1" 2>/dev/null || :
}

# end_all: all that was started ends with this script.
end_all() {
    for job in $qemu $beside; do
        end_tree "${job%%:*}"
        case $job in *:*) rm -f "${job#*:}" ;; esac
    done
    [ -n "${RUN_BESIDE:-}" ] || rm -f "$outcomes"
}

# series_wanted FILTER…: whether some of these tests are played where a window is one region, too; a QEMU
# that was named is the only one.
series_wanted() {
    [ -z "${DAXLAB_QEMU:-}" ] && [ -n "$("$TARGET/release/guest-tests" --list --one-region "$@")" ]
}

# Those that need the series' QEMU, or come to another end on it.
series_steps() {
    step "build of QEMU with the series, what was left of it" join_qemu || return
    step "guest tests on the series" env DAXLAB_QEMU=series "$TARGET/release/guest-tests" \
        --logs "$TARGET/guest-tests-series" --kernel "$guest_kernel" --one-region "$@" || :
}

# lab NAME ARG…: plays with these arguments, and reports into target/lab/NAME.
lab() {
    out=$TARGET/lab/$1
    shift
    "$TARGET/release/daxlab" test --out "$out" "$@"
}

# found_again NAME: plays a random program that found something; 1 says that it came again.
found_again() {
    status=0
    "$TARGET/release/daxlab" random --replay "tests/random/programs/$1.program" --kernel $SMALL \
        --times 1 --out "$TARGET/lab/random" || status=$?
    [ $status -eq 1 ]
}

# build_kernels: those that the guests' steps play on, beside Debian's.
build_kernels() {
    step "build of kernels" "$TARGET/release/daxlab" kernel build $SMALL $SEED $NOWAIT
}

# The core matrix on a kernel that waits for all and on one that waits for pins only; one that never
# waits, which is as expected only if the lab notices: its every cell has to slip; and without the
# guard a lost page, by which QEMU has to die.
lab_steps() {
    # Most of a case is the time for which a removal is watched.
    step "lab: core matrix" lab core --jobs 2 --kernel $DEBIAN --kernel $SEED || :
    step "lab: a kernel that never waits is caught" \
        lab nowait --kernel $NOWAIT --pin vmsplice --removal truncate || :
    step "lab: without the guard QEMU dies" \
        lab no-guard --no-guard --kernel $SEED --case matrix::fuse::vmsplice::truncate || :
    step "lab: a random program finds again what one has found" found_again 14a || :
    [ -n "${DAXLAB_QEMU:-}" ] ||
        step "lab: a cell of each file system on the series" lab series --qemu series \
            --kernel $SEED --pin vmsplice --removal truncate || :
}

# That each point can be measured; its numbers are not looked at, so one short turn of each is enough.
bench() {
    "$TARGET/release/daxlab" bench all --quick --peer none --rounds 1 --seconds 0.01 \
        --out "$TARGET/lab/bench" > /dev/null &&
        "$TARGET/release/daxlab" bench reclaim --only 'load-*-cold/2x' --side window,ext4,tmpfs \
            --window 8M --rounds 1 --seconds 0.05 \
            --kernel "$guest_kernel" --out "$TARGET/lab/reclaim" > /dev/null &&
        "$TARGET/release/daxlab" bench memory --quick --kernel "$guest_kernel" \
            --out "$TARGET/lab/memory" > /dev/null
}

# What goes wrong around the daemon, one by one and for a while at random; and ways out of the share.
fault_steps() {
    step "faults" "$TARGET/release/daemon-faults" || :
    step "soak" "$TARGET/release/daxlab" soak --seconds 20 || :
}

# That no request takes more instructions than before; daxlab says what is compared.
instructions() {
    "$TARGET/release/daxlab" bench instructions --kept tests/bench/instructions.json
}

# The daemon's live page in a real browser, without a VM.
build_page() {
    cargo build --quiet --release -p page-tests
}

page() {
    "$TARGET/release/page-tests"
}

# packages: the Debian packages, and the crates that others can use.
packages() {
    "$here/daemon/dist/build.sh" "$TARGET/packages" &&
        lintian --fail-on error,warning,info "$TARGET"/packages/*.deb &&
        cargo package --quiet --allow-dirty -p shared-window -p virtiofs-driver -p qemu-guard &&
        "$here/tests/debian/run.sh" packages "$TARGET/packages"
}

libvirt() {
    "$here/daemon/dist/build.sh" "$TARGET/packages" &&
        "$here/tests/debian/run.sh" libvirt "$TARGET/packages"
}

# named NAME: whether a filter names this step.
named() {
    case " $filters " in
    *" $1 "*) return 0 ;;
    *) return 1 ;;
    esac
}

# wanted NAME: whether the filters leave this step; without any everything is left.
wanted() {
    [ -z "$filters" ] || named "$1"
}

# guest_steps FILTER…: on stock QEMU, or the one that was named, and on the one that is being built.
guest_steps() {
    step "guest tests" "$TARGET/release/guest-tests" --logs "$TARGET/guest-tests" \
        --kernel "$guest_kernel" "$@" || :
    if [ -n "$qemu" ]; then series_steps "$@" || :; fi
}

# All builds come first: cargo does one at a time, and what was built before the failure of a build is
# not what is to be tested. Then the guest tests, those that mostly wait, and all others run beside each other.
all_steps() {
    step "format" format || :
    # The longest build of all, so it begins first.
    if step "build of daxlab" cargo build --quiet --release -p daxlab && [ -z "${DAXLAB_QEMU:-}" ]; then
        begin_qemu
    fi
    step "lints" lints || :
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps || :
    step "build of tests" unit_tests --no-run || :
    step "build for guests" build_for_guests --release || return
    step "build of the page's tests" build_page || :
    step "build of fuzz targets" "$here/tests/fuzz.sh" --build || :
    begin_beside other_steps
    if build_kernels; then
        guest_kernel=$SMALL
        begin_beside waiting_steps
    else
        begin_beside fault_steps
    fi
    guest_steps
    join_beside
}

unit_steps() {
    step "unit and property tests" unit_tests || :
}

# Steps that wait for most of their time. They run beside the others, which need the processors.
waiting_steps() {
    fault_steps
    lab_steps
}

# All other steps that run beside the guest tests.
other_steps() {
    guest_kernel=$SMALL
    unit_steps
    step "doc tests" doc_tests || :
    step "fuzzing" "$here/tests/fuzz.sh" --seconds 6 || :
    step "page" page || :
    step "instructions of a request" instructions || :
    step "benchmarks: all can be measured" bench || :
}

# What an edit breaks most often, in the least time.
quick_steps() {
    step "format" format || :
    step "lints" lints || :
    step "build of tests" unit_tests --no-run || :
    step "build for guests" build_for_guests || return
    begin_beside unit_steps
    step "guest tests in one guest" "$TARGET/debug/guest-tests" --logs "$TARGET/guest-tests" data:: || :
    step "lab: a cell of each file system" "$TARGET/debug/daxlab" test --out "$TARGET/lab/quick" \
        --kernel $DEBIAN --pin vmsplice --removal truncate || :
    join_beside
}

# Filters name steps, or guest tests by a part of their names.
filters=$*
guests=
for filter; do
    case $filter in
    quick) [ $# -eq 1 ] || fail "quick goes with no filter" ;;
    lab | bench | daemon-faults | page | instructions | packages | libvirt) ;;
    *) guests="$guests $filter" ;;
    esac
done
# Whether guest tests are run.
guest_tests() {
    [ -z "$filters" ] || [ -n "$guests" ]
}

need_root
need_cargo
if [ -n "${RUN_BESIDE:-}" ]; then
    "$@"
    exit
fi
if wanted lab; then
    need_packages suite_packages lab_packages kernel_packages
elif [ "$filters" = quick ]; then
    need_packages suite_packages lab_packages
else
    need_packages suite_packages
fi
if builds_qemu || { [ -z "${DAXLAB_QEMU:-}" ] && { wanted lab || guest_tests; }; }; then
    need_packages qemu_packages
fi
if wanted page; then need_packages page_packages; fi
if named packages || named libvirt; then need_packages package_packages debian_packages; fi
if [ "$filters" = quick ]; then
    quick_steps || :
elif [ -z "$filters" ]; then
    all_steps || :
elif { named packages || named libvirt; } && [ $# -eq 1 ]; then
    step "$1" "$1" || :
elif step "build for guests" build_for_guests --release; then
    if guest_tests; then
        # One word per filter.
        # shellcheck disable=SC2086
        if series_wanted $guests; then begin_qemu; fi
        # shellcheck disable=SC2086
        guest_steps $guests
    fi
    if wanted daemon-faults; then fault_steps; fi
    if wanted page; then
        if step "build of the page's tests" build_page; then step "page" page || :; fi
    fi
    if wanted instructions; then step "instructions of a request" instructions || :; fi
    if wanted bench; then step "benchmarks: all can be measured" bench || :; fi
    if wanted lab && build_kernels; then lab_steps; fi
    for name in packages libvirt; do
        if named $name; then step $name $name || :; fi
    done
fi
echo "where the time went, $(($(date +%s) - start)) s in all:"
sed 's/^\([0-9]*\) [^ ]* /\1 s  /' "$outcomes" | while read -r took rest; do
    printf '%6d %s\n' "$took" "$rest"
done
if grep -q '^[0-9]* FAILED ' "$outcomes"; then
    echo "failed:"
    sed -n 's/^[0-9]* FAILED /  /p' "$outcomes"
    exit 1
fi
echo "all passed"
