#!/usr/bin/env bash
# Runs a training command inside a batch job and hands the job back to the queue when the program asks for it.
#
#     requeue.sh CONFIG.yaml [key=value …] -- LAUNCHER…
#
# runs `LAUNCHER… lockstep train CONFIG.yaml key=value…`. SLURM's USR1 (see --signal in the batch scripts) and TERM are passed on;
# the program saves, ends with status 75 and leaves the word "requeue" in its run folder. Then the job is requeued with
# `scontrol requeue`; it starts again with the same script, and the program resumes from what it saved. Anything else
# (done, an error of configuration, a divergence) ends the job with the program's exit status.
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
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
shift
launcher=("$@")

program=${LOCKSTEP:-}
if [ -z "$program" ]; then
    program=lockstep
    [ -x build-release/lockstep ] && program=$PWD/build-release/lockstep
fi

# The run folder: the last output.path=… of the command line, else `path:` in the section `output:` of the file.
run=$(awk '/^[a-z]/ { section = $1 } section == "output:" && $1 == "path:" { print $2 }' "${train[0]}")
for argument in "${train[@]:1}"; do
    case $argument in output.path=*) run=${argument#output.path=} ;; esac
done

# A word that an earlier start left must not requeue a start that failed before it wrote its own.
written=$(stat -c %y "$run/status" 2>/dev/null || true)

child=
pass_on()
{
    echo "$(date '+%F %T') requeue.sh: signal $1; asking the program to save and stop"
    [ -n "$child" ] && kill -USR1 "$child" 2>/dev/null
}
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM

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

word=
[ -r "$run/status" ] && [ "$(stat -c %y "$run/status")" != "$written" ] && read -r word < "$run/status"
echo "$(date '+%F %T') requeue.sh: exit status $code, run status '${word:-none}'"
# A launcher may hide the program's exit status; the run folder's word does not lie about a clean stop.
if [ "$code" -eq 75 ] || { [ "$code" -ne 0 ] && [ "$word" = requeue ]; }; then
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "${LOCKSTEP_RESTARTS:-100}" ]; then
        echo "requeue.sh: ${LOCKSTEP_RESTARTS:-100} restarts are used up; submit again, or raise LOCKSTEP_RESTARTS" >&2
    elif [ -n "${SLURM_JOB_ID:-}" ]; then
        scontrol requeue "$SLURM_JOB_ID" || echo "requeue.sh: scontrol could not requeue job $SLURM_JOB_ID; submit it again" >&2
    fi
fi
exit "$code"
