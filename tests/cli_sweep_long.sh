#!/usr/bin/env bash
# kill -9 at random moments of small trainings of 1 and of 2 ranks, again and again, resumed: the results are those of a training that
# nobody disturbed, bit for bit, and nothing is left behind.
# usage: KILLS=500 SEED=1 cli_sweep_long.sh PROGRAM
. "$(dirname "$0")/cli.inc"
kills=${KILLS:-500}
seed=${SEED:-$(date +%s)}
RANDOM=$seed
echo "KILLS=$kills SEED=$seed"

# Open MPI's segments and session folders go where they can be counted, and are removed with the rest.
mkdir -p sessions segments
export OMPI_MCA_orte_tmpdir_base=$folder/sessions OMPI_MCA_btl_vader_backing_directory=$folder/segments \
    OMPI_MCA_osc_rdma_backing_directory=$folder/segments OMPI_MCA_shmem_mmap_backing_file_base_dir=$folder/segments

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16, dropout: 0.1}
data: {path: data.h5}
train: {steps: 60, batch: 4, sequence: 16, schedule: cosine, warmup: 10, learning_rate: 3e-3, evaluate_every: 15, evaluate_batches: 2}
output: {path: run, save_every: 6, keep: 2}
JOB

rows() { sed 's/, "tokens_per_second.*//' "$1/metrics.jsonl"; }

# gone PID SECONDS: waits until a process of ours has ended
gone()
{
    local end=$((SECONDS + $2))
    while kill -0 "$1" 2> /dev/null; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

# ours: the processes of trainings here, whoever started them; a rank may begin when its mpirun is gone already
ours()
{
    local process
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe")" = "$lockstep" ] && [ "$(readlink "$process/cwd")" = "$folder" ] && echo "${process#/proc/}"
    done
}

# seconds: of an undisturbed training; the moments of kills are drawn from them
declare -A seconds
for ranks in 1 2; do
    run=("$lockstep")
    # shellcheck disable=SC2206
    [ $ranks = 2 ] && run=($mpirun -np 2 "$lockstep")
    for part in warm straight; do # the first one measures the machine
        start=$(date +%s%N)
        expect 0 '' "${run[@]}" train job.yaml # checkpoints hold the path: it is the same one in every training
        mv run $part-$ranks
        seconds[$ranks]=$((($(date +%s%N) - start) / 1000000))
    done
done
cmp -s straight-1/checkpoints/step-00000060.h5 warm-1/checkpoints/step-00000060.h5 || failed 'two undisturbed trainings differ'

# victim PID RANKS: the process that is killed: mpirun, or one of its ranks
victim()
{
    local all
    [ "$2" = 1 ] && echo "$1" && return
    read -ra all <<< "$1 $(ours | xargs)"
    echo "${all[RANDOM % ${#all[@]}]}"
}

# compare RANKS: a run that has come to its end
compare()
{
    local left
    cmp -s <(rows straight-"$1") <(rows run) || failed "$1 ranks: metrics differ: $(diff <(rows straight-"$1") <(rows run) | head -4)"
    cmp -s {straight-"$1",run}/checkpoints/step-00000060.h5 || failed "$1 ranks: the last checkpoints differ"
    [ "$(cat run/status)" = done ] || failed "$1 ranks: status $(cat run/status)"
    left=$(cd run && find . -name '*.tmp-*' -o -name '*.lock' -o -name '*.aside' -o -name '*.damaged' | xargs)
    [ -z "$left" ] || failed "$1 ranks: left behind: $left"
    # beside the checkpoints, of which the one that it went on from is kept as well
    [ "$(cd run && find . -type f ! -name 'step-*.h5' | sort | xargs)" = "$(cd straight-"$1" && find . -type f ! -name 'step-*.h5' | sort | xargs)" ] ||
        failed "$1 ranks: other files: $(cd run && find . -type f | xargs)"
}

done_kills=0 late=0 ends=0 hung=0
for ranks in 1 2; do
    run=("$lockstep")
    # shellcheck disable=SC2206
    [ $ranks = 2 ] && run=($mpirun -np 2 "$lockstep")
    landed=0
    while [ $landed -lt $((kills / 2)) ] && [ $failures -lt 10 ]; do
        "${run[@]}" train job.yaml  > /dev/null 2> err.txt &
        pid=$!
        sleep "$(awk "BEGIN { print ${seconds[$ranks]} / 1000 * $RANDOM / 32768 * 1.1 }")"
        if kill -KILL "$(victim $pid $ranks)" 2> /dev/null; then landed=$((landed + 1)); else late=$((late + 1)); fi
        for process in $pid $(ours); do # nobody goes on alone: within 30 s the others have ended as well
            gone "$process" 30 && continue
            hung=$((hung + 1))
            echo "still there 30 s after a kill: process $process: $(tr '\0' ' ' < "/proc/$process/cmdline" | cut -c1-80)"
            kill -KILL "$process" 2> /dev/null
            gone "$process" 5
        done
        wait $pid 2> /dev/null
        if [ "$(cat run/status 2> /dev/null)" = done ]; then
            # killed between its last word and its end: the lock that it leaves goes with the next command there
            [ ! -e run/lockstep.lock ] || expect 0 'nothing to do' "${run[@]}" train job.yaml
            compare $ranks
            ends=$((ends + 1))
            rm -rf run
        elif [ -s err.txt ] && grep -q '^lockstep: error: ' err.txt && ! grep -qE 'ended|connection|lost|gone' err.txt; then
            failed "$ranks ranks, kill $landed: $(grep '^lockstep: error: ' err.txt)"
        fi
    done
    expect 0 '' "${run[@]}" train job.yaml 
    compare $ranks
    rm -rf run
    ends=$((ends + 1))
    done_kills=$((done_kills + landed))
done
echo "$done_kills kills, $late came too late, $ends trainings ended, all compared; $hung processes did not end by themselves;" \
    "$(find segments -type f | wc -l) segments of Open MPI left"
[ $hung -le $((kills / 100)) ] || failed "$hung processes hung"

finish
