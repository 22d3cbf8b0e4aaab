#!/usr/bin/env bash
# Runs a training command inside a batch job and hands the job back to the queue when its time is up.
#
#     requeue.sh CONFIG.yaml [key=value …] -- LAUNCHER…
#
# runs `LAUNCHER… lockstep train CONFIG.yaml key=value…`. Every signal that asks to stop makes the program save, end with status 75 and
# leave the word "requeue" in its run folder. Whether the job is then requeued (`scontrol requeue`; it starts again with the same
# script, and the program resumes from what it saved) is SLURM's to say:
#     warned before the time limit (USR1, see --signal in the batch scripts; USR2)      requeued
#     past the time limit, and saved before it was killed                                requeued
#     scancel, or anything else that ends the job (TERM, INT, HUP)                       not requeued; saved all the same
# Anything else (done, an error of configuration, a divergence) ends the job with the program's exit status.
#
#     LOCKSTEP            the program; default: build-release/lockstep if it is there, else lockstep from PATH
#     LOCKSTEP_RESTARTS   most restarts of one job; default 100. SLURM counts them in SLURM_RESTART_COUNT.
set -uo pipefail

train=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    train+=("$1")
    shift
done
if [ ${#train[@]} -eq 0 ] || [ $# -lt 2 ]; then
    sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
shift
launcher=("$@")
say() { echo "$(date '+%F %T') requeue.sh: $*"; }

# scancel signals every process of the job at once. mpirun would end its ranks within a second of SIGTERM, while they save: it does
# not get it. The ranks do, and USR1, which mpirun passes on.
case ${launcher[0]##*/} in
    mpirun | mpiexec | orterun | prterun)
        if env --block-signal=TERM,HUP,INT true 2> /dev/null; then
            launcher=(env --block-signal=TERM,HUP,INT "${launcher[@]}")
            export OMPI_MCA_orte_launch_agent=${OMPI_MCA_orte_launch_agent:-env --block-signal=TERM,HUP,INT orted} # on other nodes
        fi
        ;;
esac

program=${LOCKSTEP:-}
if [ -z "$program" ]; then
    program=lockstep
    [ -x build-release/lockstep ] && program=$PWD/build-release/lockstep
fi

# The run folder, as the program itself reads file and command line: a text of JSON that holds a value of YAML, in quotes where it
# needs them. This script is no rank, so what SLURM says of its ranks is kept from the program here.
unescape() { sed 's/\\\(["\\/]\)/\1/g'; }
errors=$(mktemp) || errors=/dev/null
run=$(env -u SLURM_NTASKS -u SLURM_STEP_ID -u SLURM_PROCID OMP_NUM_THREADS=1 "$program" train "${train[@]}" --explain --json 2> "$errors" |
    sed -n '/"setting": "output.path"/,/}/s/^ *"value": "\(.*\)",\{0,1\}$/\1/p' | unescape)
case $run in '"'*'"') run=${run#?} run=$(unescape <<< "${run%?}") ;; esac
if [ -z "$run" ]; then
    cat "$errors" # why: a misspelled job file, a wrong setting, no such program
    say "$program does not say what output.path is: only exit status 75 will requeue the job"
fi
[ "$errors" = /dev/null ] || rm -f "$errors"

# A word that an earlier start left must not requeue a start that failed before it wrote its own.
written=$(stat -c %y "$run/status" 2>/dev/null || true)

# The job, or the one task of its array: the number of an array's last task is that of the whole array.
job=${SLURM_JOB_ID:-}
[ -n "${SLURM_ARRAY_TASK_ID:-}" ] && job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

child= ended=no
pass_on()
{
    say "signal $1; asking the program to save and stop"
    case $1 in TERM | INT | HUP) ended=yes ;; esac
    [ -n "$child" ] && kill -USR1 "$child" 2>/dev/null
}
for signal in USR1 USR2 TERM INT HUP; do
    trap "pass_on $signal" $signal
done

echo "$(date '+%F %T') + ${launcher[*]} $program train ${train[*]} (start number $((${SLURM_RESTART_COUNT:-0} + 1)))"
"${launcher[@]}" "$program" train "${train[@]}" &
child=$!
# A trapped signal ends `wait` early; wait again until the program itself has ended.
code=0
while true; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
done

# may_requeue: whether SLURM still wants the job. A cancelled or preempted one is being ended, one that reached its limit too, for that reason.
may_requeue()
{
    local facts
    facts=$(scontrol show job "$job" 2>/dev/null) || facts=
    case $facts in
        *Reason=TimeLimit*) return 0 ;;
        *JobState=RUNNING*) [ $ended = no ] ;;
        *JobState=*) return 1 ;;
        *) [ $ended = no ] ;;
    esac
}

word=
[ -n "$run" ] && [ -r "$run/status" ] && [ "$(stat -c %y "$run/status")" != "$written" ] && read -r word < "$run/status"
say "exit status $code, run status '${word:-none}'"
# A launcher may hide the program's exit status; the run folder's word does not lie about a clean stop.
if [ "$code" -eq 75 ] || { [ "$code" -ne 0 ] && [ "$word" = requeue ]; }; then
    if [ -z "$job" ]; then
        say "no batch job to requeue; the same command goes on"
    elif ! may_requeue; then
        say "job $job is being ended, not requeued; submit it again to go on from what is saved"
    elif [ "${SLURM_RESTART_COUNT:-0}" -ge "${LOCKSTEP_RESTARTS:-100}" ]; then
        say "${LOCKSTEP_RESTARTS:-100} restarts are used up; submit again, or raise LOCKSTEP_RESTARTS" >&2
    else
        scontrol requeue "$job" || say "scontrol could not requeue job $job; submit it again" >&2
    fi
fi
exit "$code"
