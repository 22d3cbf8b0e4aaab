#!/usr/bin/env bash
# Signals as users send them: a storm of them through a whole training, the second Ctrl-C, lost terminals, commands that end at once, ranks,
# closed pipes, limits on file sizes; nothing half-written is left.
# usage: cli_signals.sh PROGRAM
. "$(dirname "$0")/cli.inc"
. "$project/tests/signals.inc"

# storm SIGNAL PID...: that signal every millisecond to each, from the moment it takes signals for as long as it lives
storm()
{
    local signal=$1 pid waiting=("${@:2}") alive
    until_takes "${waiting[@]}"
    while alive=0; for pid in "${waiting[@]}"; do kill -"$signal" "$pid" 2> /dev/null && alive=1; done; [ $alive = 1 ]; do pause 0.001; done
}

# wait_for FILE PID: until there is such a file (a pattern) of some size
wait_for()
{
    local found
    for _ in $(seq 6000); do
        for found in $1; do [ -s "$found" ] && return; done
        kill -0 "$2" 2> /dev/null || return
        pause 0.02
    done
    failed "no $1 after 120 s"
}

# ended NAME PID STATUS: waits for it
ended()
{
    local code=0
    wait "$2" 2> /dev/null || code=$?
    [ "$code" = "$3" ] || failed "$1: exit $code, expected $3: $(tail -n 3 err.txt)"
}

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 64, context: 32}
data: {path: data.h5}
train: {steps: 10, batch: 12, sequence: 32, evaluate_every: 3, evaluate_batches: 2}
output: {path: runs/x, save_every: 4, keep: 2}
JOB
last=checkpoints/step-00000010.h5
endless=(train.steps=100000000 output.save_every=100000000 train.evaluate_every=0 output.log_every=1)

# ---- a signal every millisecond from the first to the last moment of each start: at least a step each, and the same bits
for ranks in 1 2; do
    run=("$lockstep" train job.yaml)
    launch=()
    [ $ranks = 2 ] && launch=($mpirun -np 2)
    expect 0 '' "${launch[@]}" "${run[@]}"
    rm -rf runs/straight-$ranks && mv runs/x runs/straight-$ranks
    [ -s runs/straight-$ranks/$last ] || failed "$ranks ranks: no last checkpoint"
    starts=0 stops=0 code=75
    while [ $starts -lt 40 ] && { [ $code = 75 ] || { [ $code = 0 ] && [ $stops = 0 ]; }; }; do # on a busy machine the first may come too late
        [ $code = 75 ] || rm -rf runs/x
        starts=$((starts + 1)) code=0
        signal=$(printf '%s\n' USR1 USR2 TERM HUP | sed -n "$((starts % 4 + 1))p")
        "${launch[@]}" "${run[@]}" > /dev/null 2> err.txt &
        pid=$!
        [ $ranks = 1 ] && storm $signal $pid || storm $signal $(ranks_of $pid 2)
        wait $pid || code=$?
        [ $code != 75 ] || stops=$((stops + 1))
    done
    [ $code = 0 ] && [ $stops -gt 0 ] || failed "$ranks ranks, storm: start $starts ended with $code: $(tail -n 3 err.txt)"
    cmp -s runs/straight-$ranks/$last runs/x/$last || failed "$ranks ranks: a storm of signals changes bits"
    cmp -s <(sed 's/, "tokens_per_second.*//' runs/straight-$ranks/metrics.jsonl) <(sed 's/, "tokens_per_second.*//' runs/x/metrics.jsonl) ||
        failed "$ranks ranks: a storm of signals changes metrics"
    rm -rf runs/x
done

# ---- train: every signal that asks to stop; nohup; the second Ctrl-C, also of a step that takes long; other second signals do no harm
for signal in USR2 HUP XCPU; do
    rm -rf runs/x
    "$lockstep" train job.yaml "${endless[@]}" > /dev/null 2> err.txt &
    pid=$!
    wait_for runs/x/metrics.jsonl $pid
    kill -$signal $pid
    ended "train, SIG$signal" $pid 75
    [ "$(cat runs/x/status)" = requeue ] && grep -q "SIG$signal: saves" err.txt || failed "SIG$signal: $(cat runs/x/status): $(cat err.txt)"
done
rm -rf runs/x
nohup "$lockstep" train job.yaml "${endless[@]}" > /dev/null 2> err.txt &
pid=$!
wait_for runs/x/metrics.jsonl $pid
kill -HUP $pid
pause 0.5
kill -0 $pid 2> /dev/null || failed "nohup: SIGHUP ended it: $(cat err.txt)"
kill -TERM $pid
kill -TERM $pid 2> /dev/null
ended 'nohup, SIGTERM' $pid 75
rm -rf runs/x
"$lockstep" train job.yaml output.path=runs/x train.steps=3 train.batch=1200000 train.micro_batch=12 > /dev/null 2> err.txt & # a step takes minutes
pid=$!
wait_for runs/x/status $pid
kill -INT $pid
wait_for err.txt $pid
pause 0.5
grep -q 'Ctrl-C: saves after this step and stops; Ctrl-C again ends at once' err.txt || failed "the first Ctrl-C is not answered: $(cat err.txt)"
kill -0 $pid 2> /dev/null || failed 'the first Ctrl-C ended it'
kill -INT $pid
ended 'second Ctrl-C' $pid 130
ls runs/x runs/x/checkpoints | grep -q tmp && failed "second Ctrl-C: $(ls -R runs/x)"
expect 0 '' "$lockstep" train job.yaml output.path=runs/y
setsid "$lockstep" train job.yaml --dry-run train.steps=5 > /dev/null 2> err.txt &
pid=$!
until_takes $pid
kill -INT $pid 2> /dev/null
wait $pid
code=$?
[ $code = 130 ] || [ $code = 0 ] || failed "dry run, Ctrl-C: exit $code"

# ---- under mpirun: USR1 is passed on; mpirun turns Ctrl-C, SIGTERM and a lost terminal into SIGTERM; one rank's signal stops all
for signal in USR2 INT HUP rank; do
    rm -rf runs/x
    $mpirun -np 2 --mca odls_base_sigkill_timeout 3 "$lockstep" train job.yaml "${endless[@]}" > /dev/null 2> err.txt &
    pid=$!
    wait_for runs/x/metrics.jsonl $pid
    expected=1
    case $signal in
        rank) kill -TERM "$(ranks_of $pid 2 | cut -d ' ' -f 2)" ;;
        *) kill -$signal $pid ;;
    esac
    case $signal in rank | USR2) expected=75 ;; esac
    ended "mpirun, $signal" $pid $expected
    [ "$(cat runs/x/status)" = requeue ] && ls runs/x/checkpoints | grep -qx 'step-[0-9]*.h5' || failed "mpirun, $signal: $(cat runs/x/status): $(cat err.txt)"
done

# ---- other commands end at once, by the signal, and leave nothing half-written
for _ in $(seq 400); do cat text.txt; done > large.txt
mkdir written
# at_once SIGNAL STATUS FILE COMMAND...: the signal comes when there is such a file, or something in out.txt
at_once()
{
    local signal=$1 status=$2 file=$3
    shift 3
    rm -f out.txt
    "$@" > out.txt 2> err.txt &
    local pid=$!
    wait_for "$file" $pid
    kill -"$signal" $pid
    ended "$2, SIG$signal" $pid "$status"
    [ -z "$(ls -A written)" ] || failed "$2, SIG$signal: left $(ls -A written)"
}
at_once INT 130 'written/*' "$lockstep" prepare text large.txt -o written/large.h5 --tokenizer bytes
at_once TERM 143 'written/*' "$lockstep" prepare text large.txt -o written/large.h5 --tokenizer characters
at_once HUP 129 out.txt "$lockstep" generate runs/y --prompt 'the ' --tokens 100000000
at_once USR1 138 out.txt "$lockstep" generate runs/y --prompt 'the ' --tokens 100000000
expect 0 '' "$lockstep" prepare text large.txt -o large.h5 --tokenizer characters
for command in "eval runs/y data.path=large.h5 --split train" "bench job.yaml --steps 1000000"; do
    for signal in INT TERM; do
        TMPDIR=$folder/written "$lockstep" $command > /dev/null 2> err.txt &
        pid=$!
        until_takes $pid
        pause 0.3
        kill -$signal $pid
        code=0
        wait $pid 2> /dev/null || code=$?
        [ $code -gt 128 ] || failed "$command, SIG$signal: exit $code: $(cat err.txt)"
        [ -z "$(ls -A written)" ] || failed "$command, SIG$signal: left $(ls -A written)"
    done
done
$mpirun -np 2 "$lockstep" bench job.yaml --steps 1000000 > /dev/null 2> err.txt &
pid=$!
pause 1
kill -INT $pid
ended 'mpirun bench, Ctrl-C' $pid 1

# ---- what a command becomes (a recipe) has the signals as they were
mkdir bin
printf '#!/bin/sh\ngrep "^Sig[BI]" /proc/self/status\n' > bin/bash
chmod +x bin/bash
PATH=$folder/bin:$PATH "$lockstep" datasets enwik8 --fetch > mask.txt 2> err.txt
cmp -s mask.txt <(sh -c 'grep "^Sig[BI]" /proc/self/status') || failed "signals of a recipe: $(cat mask.txt err.txt)"

# ---- a reader that has seen enough; a limit on the size of files
for command in "models gpt" "models --json" "inspect runs/y" "generate runs/y --prompt the --tokens 100000"; do
    ("$lockstep" $command 2> err.txt; echo $? > code.txt) | true
    [ "$(cat code.txt)" = 141 ] && ! grep -q error err.txt || failed "$command, closed pipe: exit $(cat code.txt): $(cat err.txt)"
done
rm -rf runs/x
for limit in 20 300; do # the second is reached by metrics or a later checkpoint
    (ulimit -f $limit; exec "$lockstep" train job.yaml train.steps=100000 output.save_every=200 output.log_every=1 output.path=runs/x) > /dev/null 2> err.txt &
    ended "ulimit -f $limit" $! 7
    grep -q 'too large\|larger than' err.txt || grep -q 'File too large' err.txt || failed "ulimit -f $limit: $(cat err.txt)"
    ls runs/x runs/x/checkpoints | grep -q tmp && failed "ulimit -f $limit: $(ls -R runs/x)"
done
(ulimit -f 8; exec "$lockstep" prepare text text.txt -o written/small.h5 --tokenizer characters) > out.txt 2> err.txt
[ $? = 7 ] && [ -z "$(ls -A written)" ] && grep -q 'ulimit -f' err.txt || failed "prepare, ulimit -f: $(cat err.txt)"
(ulimit -f 1; exec "$lockstep" models --json > models.json) 2> err.txt
[ $? = 7 ] || failed "models, ulimit -f: $(cat err.txt)"

finish
