#!/usr/bin/env bash
# Runs the fuzzing targets one after another, each for so many seconds, and counts what they did; non-zero where one found something.
# "processor" is the processor time in seconds, which is less than the time that passed where others use the machine.
# usage: tests/fuzz/run.sh BUILD SECONDS [TARGET...]
#
# A target begins with the seeds in corpus/ and with what earlier runs added to BUILD/fuzz/TARGET/corpus. Inputs that stop one are kept
# in BUILD/fuzz/TARGET/found: `BUILD/tests/fuzz/fuzz_TARGET FILE` runs one again.
set -uo pipefail
build=$(realpath "$1") seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- $(cd "$here" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')

TMPDIR=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" lockstep-fuzz-XXXXXX)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR OMP_NUM_THREADS=1 XDG_CACHE_HOME=$TMPDIR/cache
# What HDF5 reads beyond its buffers of headers that are made to mislead it, and keeps until its end, is not ours.
printf 'interceptor_via_lib:libhdf5\n' > "$TMPDIR/asan.supp"
export ASAN_OPTIONS="suppressions=$TMPDIR/asan.supp:allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$here/../lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"

# stops PROGRAM FILE: whether it does so again; a time limit may have passed on a busy machine. What it says is in $TMPDIR/again.txt.
stops() { ! timeout 60 "$1" -timeout=10 -rss_limit_mb=2048 "$2" > "$TMPDIR/again.txt" 2>&1; }

# in_hdf5: whether what stopped it lies in HDF5. The innermost frame counts that is neither the system's, nor the sanitizers', nor of
# io/h5.c, which HDF5 calls to read.
in_hdf5()
{
    grep -a '^ *#[0-9]' "$TMPDIR/again.txt" |
        grep -av -e 'libc\.so' -e sysdeps/ -e __asan -e __interceptor -e __sanitizer -e ' fuzzer::' -e 'src/io/h5\.c' -e libpthread \
            -e '__ubsan' -e ' in \(malloc\|calloc\|realloc\|free\|memcpy\|memmove\|strlen\)' | head -n 1 | grep -aq libhdf5
}

# run_once ARGUMENTS...: until a finding or the end of the time. One process does more than the many short ones of libFuzzer's -fork, which
# read the whole corpus first: ten times as much where most of the time goes to HDF5.
run_once()
{
    local covered TIMEFORMAT='%U %S'
    { time "$program" "$@" -timeout=10 -rss_limit_mb=2048 -max_len="$longest" -print_final_stats=1 \
        -artifact_prefix="$work/found/" "$work/corpus" "$here/corpus/$target" > "$work/round.txt" 2>&1; } 2> "$work/time.txt"
    processor=$(awk -v before="$processor" '{ sum = before + $1 + $2 } END { printf "%.1f", sum }' "$work/time.txt")
    executions=$((executions + $(sed -nE 's/^stat::number_of_executed_units: ([0-9]+)$/\1/p' "$work/round.txt" | tail -n 1) + 0))
    covered=$(sed -nE 's/^#[0-9]+\t[A-Za-z]+ +cov: ([0-9]+) .*/\1/p' "$work/round.txt" | sort -n | tail -n 1)
    [ "${covered:-0}" -le "$edges" ] || edges=$covered
    cat "$work/round.txt" >> "$work/log.txt"
    find "$TMPDIR" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
}

printf '%-18s %12s %8s %10s %8s %6s %6s\n' target executions seconds processor edges found HDF5
bad=0
for target; do
    program=$build/tests/fuzz/fuzz_$target work=$build/fuzz/$target
    mkdir -p "$work/corpus" "$work/found"
    longest=$(find "$here/corpus/$target" -type f -printf '%s\n' | sort -n | tail -n 1) # a seed that is cut is none
    [ "${longest:-0}" -gt 16384 ] || longest=16384
    executions=0 edges=0 processor=0 until=$((SECONDS + seconds))
    : > "$work/log.txt"
    # Leaks are looked for at the end in all that was kept: HDF5 keeps memory of every file, so libFuzzer would look after each input.
    while [ $SECONDS -lt $until ]; do run_once -max_total_time=$((until - SECONDS)) -detect_leaks=0; done
    run_once -runs=0
    found=0 others=0
    for file in "$work"/found/{crash,leak,oom,timeout}-*; do
        [ -e "$file" ] || continue
        stops "$program" "$file" || continue
        if in_hdf5; then others=$((others + 1)); else found=$((found + 1)) && echo "FOUND: $program $file"; fi
    done
    [ "$found" = 0 ] && [ "$executions" -gt 0 ] || bad=1
    printf '%-18s %12s %8s %10s %8s %6s %6s\n' "$target" "$executions" "$seconds" "$processor" "$edges" "$found" "$others"
    find "$TMPDIR" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
done
exit $bad
