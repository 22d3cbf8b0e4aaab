#!/usr/bin/env bash
# The claims' scripts at sizes of a few steps: each trains, evaluates, prints its table and draws its picture; a second time it trains nothing.
# usage: cli_claims.sh PROGRAM
. "$(dirname "$0")/cli.inc"
export LOCKSTEP=$lockstep

# claims NAME PICTURE...: the script of this name; the environment makes it small
claims()
{
    local name=$1
    shift
    OUT=out/$name run_for 0 bash "$project/jobs/claims/$name.sh"
    grep -qE '^(training|measuring)' err.txt || failed "$name trains nothing: $(cat err.txt)"
    for picture in "$@"; do
        grep -q '<svg' "out/$name/$picture.svg" || failed "$name draws no $picture.svg: $(ls "out/$name")"
    done
    mv out.txt first.txt
    OUT=out/$name run_for 0 bash "$project/jobs/claims/$name.sh"
    cmp -s first.txt out.txt || failed "$name says something else a second time: $(diff first.txt out.txt | head -5)"
    ! grep -qE '^(training|measuring)' err.txt || failed "$name trains again: $(cat err.txt)"
}

LENGTH=12 ITEMS=3 STEPS=2 BATCH=2 claims selective-copying selective-copying
[ "$(grep -cE '^(mamba|mingru|lstm|s4d) .*%' out.txt)" = 4 ] || failed "no row for each model: $(cat out.txt)"
LENGTHS="5 7" STEPS=2 BATCH=2 MODELS="lstm attention" claims memory copy adding
[ "$(grep -cE '^[a-z0-9]+ +[01]\.[0-9]+ +[01]\.[0-9]+' out.txt)" = 3 ] || failed "no row for each model and rule: $(cat out.txt)"
LENGTH=8 STEPS=2 BATCH=2 SAMPLES=2 LENGTHS="8 32" MODELS="mamba learned rotary" claims induction induction
grep -qE '^mamba +[01]\.[0-9]+ +[01]\.[0-9]+$' out.txt || failed "no row of two lengths: $(cat out.txt)"
grep -qE '^learned +[01]\.[0-9]+ +-$' out.txt || failed "learned positions beyond their length: $(cat out.txt)"
LENGTHS="8 16" TOKENS=16 THREADS=1 STEPS=1 MODELS="lstm mamba attention" WIDTH=16 claims parallel-in-time parallel-in-time
[ "$(grep -cE '^(lstm|mamba|attention) +1 +[0-9.]+ +[0-9.]+$' out.txt)" = 3 ] || failed "no row for each model: $(cat out.txt)"
STEPS=30 LENGTH=100 claims clipping norms losses
grep -qE '^0 .* none after step [0-9]+$' out.txt || failed "nothing diverges without clipping: $(cat out.txt)"
grep -qE '^0\.5 .* 0\.[0-9]+$' out.txt || failed "clipping does not keep the training alive: $(cat out.txt)"
CONTEXTS="4 8" STREAMS="1 2" MEMORY=0.02 CONTEXT=8 TOKENS=2 MODELS="gpt mamba" LAYERS=1 WIDTH=48 claims generation generation
[ "$(grep -cE '^(gpt|mamba)( +[0-9.]+){5} \([0-9]+\)$' out.txt)" = 2 ] || failed "no row for each model: $(cat out.txt)"
finish
