#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors, runs the tests.
#
#     tests/run.sh                 the default tests
#     tests/run.sh --long          the long ones as well (release build)
#     tests/run.sh --sanitize      under the address and undefined-behaviour sanitizers
#     tests/run.sh --valgrind      the unit tests under valgrind's memcheck
#     tests/run.sh --coverage      with the line coverage of src/, failing under 85 %
#     tests/run.sh --emulate       the unit tests for aarch64 by qemu, with Debian's arm64 libraries
#     tests/run.sh --fuzz SECONDS [TARGET...]    each fuzzing target (tests/fuzz) for so long
#
# JOBS=N limits the parallel compilations and tests (default: the cores). Anything after the option goes to ctest:
# tests/run.sh --sanitize -R checkpoint. Ends with ctest's own closing lines; exits non-zero if any test failed or none ran.
set -euo pipefail
cd "$(dirname "$0")/.."

variant=${1:-}
case $variant in
    --*) shift ;;
    *) variant=--default ;;
esac
jobs=${JOBS:-$(nproc)}
extra=()
preset=dev
case $variant in
    # for the tests aarch64, which only compiles, format, python, and browser
    --default) extra=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross clang-format-14 python3 python3-numpy python3-pip chromium) ;;
    --long) preset=release extra=(slurm-wlm munge) ;; # for cli_slurm_long, which runs SLURM on the loopback
    --sanitize) preset=asan-ubsan ;;
    --valgrind) extra=(valgrind libc6-dbg) ;;
    --coverage) preset=coverage extra=(gcovr) ;;
    --emulate) preset=emulate extra=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static) ;;
    --fuzz) preset=fuzz extra=(clang libomp-dev) ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

run()
{
    printf '+ %s\n' "$*"
    "$@"
}

run cmake/packages.sh "${extra[@]}"
[ "$variant" = --emulate ] && run cmake/arm64_libraries.sh "build-$preset/arm64"
# Warnings are errors in the default build alone: instrumented code makes the compiler warn of paths that are not there.
options=()
[ "$preset" = dev ] && options+=(-DLOCKSTEP_WERROR=ON)
command -v ccache >/dev/null && options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
run cmake --preset "$preset" "${options[@]}"
if [ "$variant" = --fuzz ]; then
    [[ ${1:-} =~ ^[1-9][0-9]*$ ]] || { echo 'tests/run.sh --fuzz SECONDS [TARGET...]: the seconds are missing' >&2; exit 2; }
    run cmake --build "build-$preset" -j "$jobs" --target fuzz
    run tests/fuzz/run.sh "build-$preset" "$@"
    exit
fi
run cmake --build "build-$preset" -j "$jobs"

tests=(ctest --test-dir "build-$preset" --output-on-failure --no-tests=error -j "$jobs")
case $variant in
    --default)
        run "${tests[@]}" -LE long "$@"
        ;;
    --long)
        run "${tests[@]}" "$@"
        ;;
    --emulate)
        results=$PWD/build-$preset/results.xml failed=0
        rm -f "$results"
        run "${tests[@]}" -LE long --output-junit "$results" "$@" || failed=1
        # What was started and did not fail; the names of files are no proof that anything ran.
        passed=$(grep -c '<testcase .* status="run"' "$results" || true)
        unmet=$(grep '<testcase ' "$results" | grep -vc ' status="run"' || true)
        echo "${passed:-0} passed, ${unmet:-0} failed"
        [ "$failed" -eq 0 ] && [ "${unmet:-1}" -eq 0 ] && [ "${passed:-0}" -gt 0 ]
        ;;
    --sanitize)
        # Leaks are looked for in our own code: Open MPI, PMIx and HDF5 keep memory to the end by design (tests/lsan.supp).
        keep=$PWD/build-$preset/keep_modules.so
        run cc -shared -fPIC -o "$keep" tests/keep_modules.c
        # A process that is meant to end by SIGBUS does.
        export ASAN_OPTIONS="detect_leaks=1:handle_sigbus=0:fast_unwind_on_malloc=0:verify_asan_link_order=0:${ASAN_OPTIONS:-}"
        export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
        export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
        tests=(env LD_PRELOAD="$keep" "${tests[@]}")
        run "${tests[@]}" -LE long "$@"
        ;;
    --valgrind)
        passed=0 failed=0
        for program in "build-$preset"/tests/test_*; do
            [ -x "$program" ] && [[ $program != *_long* ]] || continue
            # Branches on memory that is uninitialised, bad reads and writes, and what is lost for good count as failures. Valgrind shows the
            # program a processor of what valgrind itself can do, so that the highest level without AVX-512 is the one tested: v3.
            if run env -C "build-$preset/tests" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive valgrind -q --error-exitcode=99 --leak-check=full \
                --errors-for-leak-kinds=definite --suppressions="$PWD/tests/valgrind.supp" "$PWD/$program"; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "FAILED: $program"
            fi
        done
        echo "$passed passed, $failed failed"
        [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
        ;;
    --coverage)
        find "build-$preset" -name '*.gcda' -delete
        run "${tests[@]}" -LE long "$@"
        run gcovr --root . --filter 'src/' --exclude-unreachable-branches --print-summary --sort-uncovered \
            --fail-under-line 85 "build-$preset"
        ;;
esac
