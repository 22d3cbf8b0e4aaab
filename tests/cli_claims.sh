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
    grep -q training err.txt || failed "$name trains nothing: $(cat err.txt)"
    for picture in "$@"; do
        grep -q '<svg' "out/$name/$picture.svg" || failed "$name draws no $picture.svg: $(ls "out/$name")"
    done
    mv out.txt first.txt
    OUT=out/$name run_for 0 bash "$project/jobs/claims/$name.sh"
    cmp -s first.txt out.txt || failed "$name says something else a second time: $(diff first.txt out.txt | head -5)"
    ! grep -q training err.txt || failed "$name trains again: $(cat err.txt)"
}

LENGTH=12 ITEMS=3 STEPS=2 BATCH=2 claims selective-copying selective-copying
[ "$(grep -cE '^(mamba|mingru|lstm|s4d) .*%' out.txt)" = 4 ] || failed "no row for each model: $(cat out.txt)"
LENGTHS="5 7" STEPS=2 BATCH=2 MODELS="lstm attention" claims memory copy adding
[ "$(grep -cE '^[a-z0-9]+ +[01]\.[0-9]+ +[01]\.[0-9]+' out.txt)" = 3 ] || failed "no row for each model and rule: $(cat out.txt)"
finish
