#!/usr/bin/env bash
# The batch scripts with a launcher and a scontrol that only write down what they were asked: which endings requeue a job.
# usage: cli_batch.sh PROGRAM (asked for the run folder alone: else the stand-in for mpirun plays its part)
. "$(dirname "$0")/cli.inc"
mkdir -p bin jobs run
cp "$project/jobs/requeue.sh" "$project/jobs/batch.inc" jobs/

# Plays `mpirun … lockstep train …`: waits for USR1 where told to, leaves a word in the run folder, exits as told.
cat > bin/mpirun <<'FAKE'
#!/usr/bin/env bash
printf '%s\n' "$*" > "$FAKE_FOLDER/mpirun.called"
# without a child: while it makes one, a shell blocks signals itself
while read -r name mask; do [ "$name" != SigBlk: ] || echo "$name $mask"; done < /proc/$$/status > "$FAKE_FOLDER/mpirun.mask"
printf 'threads=%s places=%s\n' "${OMP_NUM_THREADS:-}" "${OMP_PLACES:-}" >> "$FAKE_FOLDER/mpirun.called"
if [ "${FAKE_WAIT:-0}" = 1 ]; then
    stopped=0
    trap 'stopped=1' USR1
    echo ready > "$FAKE_FOLDER/ready"
    for ((i = 0; i < 200 && stopped == 0; i++)); do sleep 0.05; done
    [ $stopped = 1 ] || exit 99
    sleep 0.2 # saving takes a moment, in which the shell outside must go on waiting
fi
[ "$FAKE_WORD" = nothing ] || echo "$FAKE_WORD" > "$FAKE_FOLDER/$FAKE_RUN/status"
exit "$FAKE_CODE"
FAKE
cat > bin/scontrol <<'FAKE'
#!/usr/bin/env bash
case $1 in
    show) printf 'JobId=%s\n   JobState=%s Reason=%s\n' "$3" "${FAKE_STATE:-RUNNING}" "${FAKE_REASON:-None}" ;;
    *) printf '%s\n' "$*" > "$FAKE_FOLDER/scontrol.called" ;;
esac
FAKE
printf '#!/bin/sh\necho "Thread(s) per core:  2"\n' > bin/lscpu
chmod +x bin/mpirun bin/scontrol bin/lscpu
ln bin/mpirun bin/srun
printf 'model:\n  kind: gpt\ndata:\n  path: elsewhere\noutput:\n  path: run\n' > job.yaml
ln -s "$lockstep" bin/lockstep-of-the-test
export FAKE_FOLDER=$folder PATH=$folder/bin:$PATH LOCKSTEP=$folder/bin/lockstep-of-the-test
export FAKE_RUN=run SLURM_NTASKS=2 # of the ranks, of which the script is none
export SLURM_SUBMIT_DIR=$folder SLURM_CPUS_PER_TASK=3 SLURM_NTASKS_PER_NODE=2 SLURM_JOB_ID=4711

more=() # further arguments
# check NAME SCRIPT EXPECTED_CODE EXPECTED_REQUEUE(yes|no): with FAKE_* set by the caller
check()
{
    rm -f scontrol.called mpirun.called ready
    echo requeue > "$FAKE_RUN/status" # what an earlier start left
    bash "$project/jobs/$2" job.yaml train.steps=7 "${more[@]}" > log.txt 2>&1 &
    local shell=$! code=0 requeued=no
    if [ "${FAKE_WAIT:-0}" = 1 ]; then
        for ((i = 0; i < 200; i++)); do [ -e ready ] && break; sleep 0.05; done
        kill -"${SEND:-USR1}" $shell
    fi
    wait $shell || code=$?
    [ -e scontrol.called ] && requeued=yes
    if [ "$code" != "$3" ] || [ "$requeued" != "$4" ]; then
        failed "$1: exit $code (expected $3), requeued $requeued (expected $4): $(cat log.txt)"
    fi
}

for script in one-node.sbatch many-nodes.sbatch srun.sbatch; do
    bash -n "$project/jobs/$script" || failed "$script is no script"
    FAKE_WORD=done FAKE_CODE=0 check "$script: done" $script 0 no
    FAKE_WAIT=1 FAKE_WORD=requeue FAKE_CODE=75 check "$script: stopped by USR1" $script 75 yes
    grep -qx 'requeue 4711' scontrol.called || failed "$script: scontrol was asked: $(cat scontrol.called)"
    export FAKE_WAIT=1 FAKE_WORD=requeue FAKE_CODE=75
    SLURM_ARRAY_JOB_ID=4700 SLURM_ARRAY_TASK_ID=3 check "$script: a task of an array" $script 75 yes
    grep -qx 'requeue 4700_3' scontrol.called || failed "$script: of an array, scontrol was asked: $(cat scontrol.called)"
    for signal in TERM HUP; do
        SEND=$signal check "$script: SIG$signal" $script 75 no
    done
    SEND=TERM FAKE_STATE=COMPLETING check "$script: scancel" $script 75 no
    FAKE_STATE=COMPLETING check "$script: scancel after the warning" $script 75 no
    FAKE_CODE=1 SEND=TERM FAKE_STATE=COMPLETING check "$script: scancel, a launcher that hides 75" $script 1 no
    SEND=TERM FAKE_STATE=COMPLETING FAKE_REASON=TimeLimit check "$script: past the time limit" $script 75 yes
    unset FAKE_WAIT FAKE_WORD FAKE_CODE
    FAKE_WORD=requeue FAKE_CODE=1 check "$script: launcher hides 75" $script 1 yes
    FAKE_WORD=failed FAKE_CODE=3 check "$script: error of data" $script 3 no
    FAKE_WORD=nothing FAKE_CODE=6 check "$script: failed at launch" $script 6 no
    FAKE_WORD=diverged FAKE_CODE=5 check "$script: diverged" $script 5 no
    SLURM_RESTART_COUNT=100 FAKE_WORD=requeue FAKE_CODE=75 check "$script: restarts used up" $script 75 no
    placed='--map-by ppr:2:node:PE=3 --bind-to core' mask=4003
    [ $script != srun.sbatch ] || placed='--mpi=pmix --cpus-per-task=3 --cpu-bind=cores' mask=0000
    grep -q -- "$placed" mpirun.called && grep -q 'lockstep-of-the-test train job.yaml train.steps=7$' mpirun.called &&
        grep -q '^threads=3 places=cores$' mpirun.called || failed "$script: the launcher was asked: $(cat mpirun.called)"
    grep -q "$mask\$" mpirun.mask || failed "$script: signals that the launcher has blocked: $(cat mpirun.mask)" # TERM, INT, HUP
done

# Without --cpus-per-task: the node's cores among its ranks, with a word; one where nothing is known.
for script in one-node.sbatch many-nodes.sbatch srun.sbatch; do
    for known in '64 4' '16 1' ' 1'; do
        cpus=${known% *} each=${known#* }
        (
            unset SLURM_CPUS_PER_TASK SLURM_NTASKS_PER_NODE SLURM_CPUS_ON_NODE
            [ -z "$cpus" ] || export SLURM_CPUS_ON_NODE=$cpus
            export SLURM_TASKS_PER_NODE='8(x2)'
            FAKE_WORD=done FAKE_CODE=0 check "$script without --cpus-per-task" $script 0 no
            exit $failures
        ) || failures=$((failures + 1))
        grep -q "^$script: no --cpus-per-task: $each for each of 8 ranks a node" log.txt && grep -q "^threads=$each " mpirun.called ||
            failed "$script without --cpus-per-task, of $cpus: $(cat log.txt mpirun.called)"
    done
done

# Without a folder `jobs`: requeue.sh is found beside the program that is installed.
mkdir -p prefix/bin prefix/share/lockstep
mv jobs prefix/share/lockstep/jobs
ln -s "$lockstep" prefix/bin/lockstep
PATH=$folder/prefix/bin:$PATH FAKE_WORD=done FAKE_CODE=0 check 'an installed program' one-node.sbatch 0 no
[ -s mpirun.called ] || failed "an installed program: $(cat log.txt)"
mv prefix/share/lockstep/jobs jobs

# The run folder, however it is written; the word in it decides where the launcher hides the exit status.
export FAKE_WORD=requeue FAKE_CODE=1
for name in 'flow' 'out #2' 'a "b"' 'path: x' "it's" 'back\slash'; do
    mkdir -p "$name"
    FAKE_RUN=$name
    printf 'model: {kind: gpt}\ndata: {path: elsewhere}\noutput: {keep: 2, path: "%s"}\n' "$(sed 's/[\"]/\\&/g' <<< "$name")" > job.yaml
    check "$name in the file" one-node.sbatch 1 yes
    printf 'output: {path: other}\nmodel: {kind: gpt}\n' > job.yaml
    more=("output.path=$name")
    check "$name on the command line" one-node.sbatch 1 yes
    more=()
done
FAKE_RUN=runs/last
mkdir -p runs/last
printf "output:\n  path: 'runs/last' # where it goes\nmodel:\n  kind: gpt\n" > job.yaml
check 'quotes and a comment' srun.sbatch 1 yes
echo 'no: [job' > job.yaml
FAKE_CODE=2 check 'no job file' one-node.sbatch 2 no
grep -q 'does not say what output.path is' log.txt || failed "no job file: $(cat log.txt)"
head -1 log.txt | grep -q '^lockstep: error: job.yaml:' || failed "the reason does not come first: $(cat log.txt)"
finish
