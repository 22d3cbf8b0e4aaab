#!/usr/bin/env bash
# Trainings of 20 small steps that each get a signal at a random moment, by themselves and over two ranks: each ends with 75 (or 0 where it
# was done) and goes on to the same bits. The width is one at which libraries' matrix products use all their means.
# usage: cli_signals_long.sh PROGRAM       TRAININGS=1000: how many (default 24); every fourth under mpirun
. "$(dirname "$0")/cli.inc"
. "$project/tests/signals.inc"
trainings=${TRAININGS:-24}
random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 4, width: 256, context: 16}
data: {path: data.h5}
train: {steps: 20, batch: 4, sequence: 16, evaluate_every: 0}
output: {path: runs/x, save_every: 0, keep: 1, log_every: 1}
JOB
declare -A launch=([1]="" [2]="$mpirun -np 2")
for ranks in 1 2; do
    expect 0 '' ${launch[$ranks]} "$lockstep" train job.yaml
    mv runs/x runs/straight-$ranks
done

stopped=0 finished=0
for ((i = 0; i < trainings; i++)); do
    ranks=$((i % 4 == 3 ? 2 : 1)) code=0
    rm -rf runs/x
    ${launch[$ranks]} "$lockstep" train job.yaml > /dev/null 2> err.txt &
    pid=$!
    if [ $ranks = 1 ]; then
        victim=$pid signals=(USR1 USR2 TERM HUP INT XCPU)
        until_takes $pid
    else # mpirun passes on USR1 and USR2; a rank may get any
        read -ra rank <<< "$(ranks_of $pid 2)"
        until_takes "${rank[@]}"
        case $((RANDOM % 3)) in
            0) victim=$pid signals=(USR1 USR2) ;;
            *) victim=${rank[RANDOM % 2]} signals=(USR1 USR2 TERM HUP INT XCPU) ;;
        esac
    fi
    signal=${signals[RANDOM % ${#signals[@]}]}
    # a random step, in metrics.jsonl, and a random moment of it; a third of them while it starts, a few while it ends
    row=$((RANDOM % 31 - 10)) wait=$((row > 0 ? RANDOM % 12 : RANDOM % 150))
    rows=()
    until [ $row -le 0 ] || { [ -e runs/x/metrics.jsonl ] && mapfile -t rows < runs/x/metrics.jsonl; [ ${#rows[@]} -ge $row ]; } || ! kill -0 $pid 2> /dev/null; do
        pause 0.001
    done
    pause "$(printf '0.%03d' $wait)"
    kill -"$signal" "$victim" 2> /dev/null
    wait $pid || code=$?
    case $code in
        0) finished=$((finished + 1)) ;;
        75)
            stopped=$((stopped + 1))
            [ "$(cat runs/x/status)" = requeue ] || failed "training $i, $ranks ranks, SIG$signal row $row and $wait ms: status $(cat runs/x/status)"
            expect 0 'going on from' ${launch[$ranks]} "$lockstep" train job.yaml
            ;;
        *) failed "training $i, $ranks ranks, SIG$signal row $row and $wait ms: exit $code: $(head -c 1500 err.txt)" ;;
    esac
    cmp -s runs/straight-$ranks/checkpoints/step-00000020.h5 runs/x/checkpoints/step-00000020.h5 ||
        failed "training $i, $ranks ranks, SIG$signal row $row and $wait ms, exit $code: other bits"
    [ $((i % 100)) != 99 ] || echo "$((i + 1)) trainings: $stopped stopped and resumed, $finished were done, $failures failures"
done
echo "$trainings trainings: $stopped stopped and resumed, $finished were done, $failures failures"
[ $stopped -gt 0 ] || failed 'no signal has stopped a training'
finish
