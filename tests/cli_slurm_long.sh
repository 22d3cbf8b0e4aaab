#!/usr/bin/env bash
# The batch scripts under a real SLURM: ten cancels and ten time limits, with mpirun and srun, arrays, warnings to the script and to
# the steps, none at all. A cancelled job is saved and stays away; one whose time is up is saved, requeued and goes on.
# SLURM and munge run on the loopback, from a folder of the test. Needs root and Debian's packages slurm-wlm and munge.
# usage: cli_slurm_long.sh PROGRAM
. "$(dirname "$0")/cli.inc"

cluster=$folder/cluster
mkdir -p "$cluster/state" "$cluster/spool" "$cluster/munge" runs
chmod 700 "$cluster/munge"
export SLURM_CONF=$cluster/slurm.conf
pid_files=("$cluster/slurmd.pid" "$cluster/slurmctld.pid" "$cluster/munge/pid")

stop_cluster()
{
    local file pid
    scancel --user="$(id -un)" 2> /dev/null
    for file in "${pid_files[@]}"; do
        [ -s "$file" ] && pid=$(cat "$file") && kill "$pid" && for _ in $(seq 50); do kill -0 "$pid" 2> /dev/null && sleep 0.1; done
    done 2> /dev/null
    chmod -R u+w "$folder"
    rm -rf "$folder"
}
trap stop_cluster EXIT

start_cluster()
{
    local name first=$((20000 + RANDOM % 10000))
    name=$(hostname -s)
    head -c 1024 /dev/urandom > "$cluster/munge/key" && chmod 400 "$cluster/munge/key"
    cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$name(127.0.0.1)
AuthInfo=socket=$cluster/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.log
SlurmctldPort=$first
SlurmdPort=$((first + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=60
NodeName=$name NodeAddr=127.0.0.1 CPUs=64
PartitionName=all Nodes=ALL Default=YES
CONF
    munged --force --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" --log-file="$cluster/munge/log" \
        --pid-file="$cluster/munge/pid" --seed-file="$cluster/munge/seed" && slurmctld && slurmd || return 1
    for _ in $(seq 100); do
        [ "$(sinfo -h -o %T 2> /dev/null)" = idle ] && return 0
        sleep 0.2
    done
    return 1
}
for tool in munged slurmctld slurmd srun; do
    command -v $tool > /dev/null || failed "$tool is not installed (packages slurm-wlm and munge)"
done
[ $failures = 0 ] && { start_cluster || failed "SLURM does not start: $(tail -n 3 "$cluster"/*.log)"; }
[ $failures = 0 ] || finish

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16}
data: {path: data.h5}
train: {steps: 100000000, batch: 12, sequence: 16, schedule: constant, warmup: 20, evaluate_every: 0}
output: {path: runs/x, save_every: 100000000, keep: 2}
JOB
"$lockstep" train job.yaml train.steps=1 > /dev/null 2>&1 # measures the machine's peaks
# Starts like jobs/*.sbatch, but for the places of the ranks: all share a few cores. finish-NAME holds the last step there is to be.
cat > job.sbatch <<BATCH
#!/usr/bin/env bash
#SBATCH --ntasks=2
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%a.log
export LOCKSTEP=$lockstep
name=\$SLURM_JOB_NAME-\${SLURM_ARRAY_TASK_ID:-4294967294}
case \$1 in mpirun) launcher="$mpirun -np 2" ;; srun) launcher="srun --mpi=pmix" ;; esac
exec bash $project/jobs/requeue.sh job.yaml train.steps=\$(cat finish-\$name 2> /dev/null || echo 100000000) output.path=runs/\$name -- \$launcher
BATCH

none=4294967294 # SLURM's number of the task of a job that is no array
declare -A number # of the job, by name-task

# submit NAME TASKS LAUNCHER OPTION...: TASKS is $none or the tasks of an array
submit()
{
    local name=$1 tasks=$2 launcher=$3 id task
    shift 3
    [ "$tasks" = $none ] || set -- "$@" --array="${tasks// /,}"
    id=$(sbatch --parsable --job-name="$name" "$@" job.sbatch "$launcher") || failed "sbatch $name"
    for task in $tasks; do
        number[$name-$task]=$id
        [ "$task" = $none ] || number[$name-$task]=${id}_$task
    done
}

# fact NAME KEY: what SLURM tells of the job
fact() { scontrol show job "${number[$1]}" 2> /dev/null | grep -o "\b$2=[^ ]*" | head -n 1 | cut -d = -f 2; }

# wait_state NAME PATTERN SECONDS: until its state is like that
wait_state()
{
    for _ in $(seq $(($3 * 2))); do
        [[ $(fact "$1" JobState) =~ ^($2)$ ]] && return 0
        sleep 0.5
    done
    failed "$1: state $(fact "$1" JobState) ($(fact "$1" Reason)), not $2, after $3 s: $(tail -n 5 "$1.log")"
    return 1
}

# wait_requeued NAME SECONDS
wait_requeued()
{
    for _ in $(seq $(($2 * 2))); do
        [ "$(fact "$1" Restarts)" = 1 ] && return 0
        sleep 0.5
    done
    failed "$1: not requeued after $2 s, state $(fact "$1" JobState) ($(fact "$1" Reason)): $(tail -n 5 "$1.log")"
    return 1
}

under_way() # NAME: has rows
{
    for _ in $(seq 240); do
        [ -s "runs/$1/metrics.jsonl" ] && return
        sleep 0.5
    done
    failed "$1 does not start: $(tail -n 5 "$1.log")"
}

# saved NAME: stopped and saved, to the step in its last message
saved()
{
    local step
    step=$(grep -o 'stopped on a signal after step [0-9]*' "$1.log" | tail -n 1 | grep -o '[0-9]*$')
    [ -n "$step" ] && [ -s "runs/$1/checkpoints/$(printf 'step-%08d.h5' "$step")" ] && [ "$(cat "runs/$1/status")" = requeue ] ||
        failed "$1: not saved: status $(cat "runs/$1/status"), $(ls "runs/$1/checkpoints"): $(tail -n 5 "$1.log")"
}

# tell NAME: a line of the log
tell()
{
    local last
    last=$(ls "runs/$1/checkpoints" 2> /dev/null | grep -o '[0-9]*\.h5$' | sort | tail -n 1)
    echo "$SECONDS s, $1: SLURM $(fact "$1" JobState), restarts $(fact "$1" Restarts); run $(cat "runs/$1/status" 2> /dev/null || echo 'not begun')," \
        "last checkpoint ${last%.h5}, $(cat "runs/$1/metrics.jsonl" 2> /dev/null | wc -l) rows"
}

# ---- ten cancels: five of each launcher, two of them tasks of arrays; at the beginning, and under way
submit cancel-mpirun $none mpirun --signal=B:USR1@30 --time=30
submit cancel-srun $none srun --signal=B:USR1@30 --time=30
submit cancel-again $none mpirun --time=30
submit cancel-steps $none srun --signal=USR1@30 --time=30
submit cancel-tasks "1 2" mpirun --signal=B:USR1@30 --time=30
submit cancel-srun-tasks "1 2" srun --signal=B:USR1@30 --time=30
under=(cancel-mpirun-$none cancel-srun-$none cancel-again-$none cancel-steps-$none cancel-tasks-2 cancel-srun-tasks-1)
for name in "${under[@]}"; do under_way $name; done
for name in "${under[@]}"; do
    sleep 0.$((RANDOM % 10))
    scancel "${number[$name]}"
done
for name in "${under[@]}"; do
    wait_state $name CANCELLED 90 && saved $name
    [ "$(fact $name Restarts)" = 0 ] || failed "$name: restarted"
    tell $name
done
for name in cancel-tasks-1 cancel-srun-tasks-2; do # the arrays' other tasks are not touched
    [ "$(fact $name JobState)" = RUNNING ] || failed "$name: state $(fact $name JobState) after its neighbour was cancelled"
    scancel "${number[$name]}"
    wait_state $name CANCELLED 90 && saved $name
    tell $name
done
for launcher in mpirun srun; do # while it starts: nothing to save, perhaps, and nothing to requeue
    submit cancel-early-$launcher $none $launcher --signal=B:USR1@30 --time=30
    wait_state cancel-early-$launcher-$none RUNNING 60
    sleep 0.$((RANDOM % 10))
    scancel "${number[cancel-early-$launcher-$none]}"
    wait_state cancel-early-$launcher-$none CANCELLED 90
    tell cancel-early-$launcher-$none
done
echo "cancels done after $SECONDS s: $failures failures"

# ---- ten time limits: warned in the script, in the steps, or not at all
limits=()
limit() # NAME TASKS LAUNCHER OPTION...
{
    local task
    submit "$@"
    for task in $2; do limits+=("$1-$task"); done
}
limit limit-mpirun $none mpirun --signal=B:USR1@30 --time=2
limit limit-mpirun-usr2 $none mpirun --signal=B:USR2@30 --time=2
limit limit-srun $none srun --signal=B:USR1@30 --time=2
limit limit-steps $none srun --signal=USR1@30 --time=2
limit limit-tasks "1 2" mpirun --signal=B:USR1@30 --time=2
limit limit-srun-tasks "1 2" srun --signal=USR1@30 --time=2
limit limit-late-mpirun $none mpirun --time=1
limit limit-late-srun $none srun --time=1
for name in "${limits[@]}"; do
    wait_requeued $name 300 || continue
    saved $name
    tell $name
    step=$(cat runs/$name/metrics.jsonl | tail -n 1 | grep -o '"step": [0-9]*' | cut -d ' ' -f 2)
    echo $((step + 1000)) > finish-$name # when it starts again: two minutes later, by SLURM's rule
done
for name in "${limits[@]}"; do
    wait_state $name 'COMPLETED' 400 || continue
    [ "$(cat runs/$name/status)" = done ] && [ "$(fact $name Restarts)" = 1 ] && grep -q 'going on from' $name.log ||
        failed "$name: restarts $(fact $name Restarts), status $(cat runs/$name/status): $(tail -n 5 $name.log)"
    awk -F'[:,]' '$2 + 0 != NR { exit 1 }' runs/$name/metrics.jsonl || failed "$name: rows are missing or doubled"
    tell $name
done
echo "time limits done after $SECONDS s: $failures failures"

# ---- srun without MPI's support: one message of ours, status 6
srun -n 2 "$lockstep" eval runs/x > out.txt 2> err.txt
[ $? = 6 ] && grep -q "srun --mpi=pmix" err.txt && [ "$(grep -c '^lockstep: error' err.txt)" = 1 ] && ! grep -q 'OMPI' err.txt ||
    failed "plain srun: $(cat err.txt)"
srun -n 2 "$lockstep" doctor > out.txt 2> err.txt && failed 'doctor is content with plain srun'
[ "$(grep -c '^FAIL *launch' out.txt)" = 1 ] || failed "doctor under plain srun: $(cat out.txt)"
for command in "srun -n 1" "srun -n 2 --mpi=pmix"; do
    $command "$lockstep" eval runs/x > out.txt 2> err.txt && grep -q 'loss' out.txt || failed "$command: $(cat err.txt)"
done
finish
