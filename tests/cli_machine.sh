#!/usr/bin/env bash
# Threads as the machine asks for them, on made-up machines: what doctor says, what train warns of, what is refused; how threads wait.
# usage: cli_machine.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# system NAME PROCESSORS: a machine of so many processors, each a core of its own, for the commands that follow
system()
{
    export LOCKSTEP_SYSTEM=$folder/$1
    cpu=$LOCKSTEP_SYSTEM/sys/devices/system/cpu
    mkdir -p "$cpu" "$LOCKSTEP_SYSTEM/proc/self" "$LOCKSTEP_SYSTEM/sys/fs/cgroup"
    echo "0-$(($2 - 1))" > "$cpu/online"
    echo '0::/' > "$LOCKSTEP_SYSTEM/proc/self/cgroup"
    for i in $(seq 0 $(($2 - 1))); do mkdir -p "$cpu/cpu$i/topology"; echo "$i" > "$cpu/cpu$i/topology/thread_siblings_list"; done
}

# doctor THREADS TEXT...: OMP_NUM_THREADS (none: unset), and texts that stand in what it says
doctor()
{
    local threads=(OMP_NUM_THREADS="$1") text
    [ "$1" != none ] || threads=(-u OMP_NUM_THREADS)
    run_for 0 env "${threads[@]}" "$lockstep" doctor
    shift
    tr -s ' \n' ' ' < out.txt > flat.txt
    for text; do grep -qF -- "$text" flat.txt || failed "doctor in $(basename "$LOCKSTEP_SYSTEM") does not say '$text': $(cat out.txt)"; done
}

printf 'To be, or not to be, that is the question.\n%.0s' {1..50} > text.txt
prepare text.h5 --tokenizer characters
cat > job.yaml <<YAML
model: {kind: gpt, layers: 1, width: 16, heads: 1, context: 16}
data: {path: text.h5}
train: {steps: 1, batch: 4}
output: {path: run, save_every: 0}
YAML

# warns THREADS RANKS TEXT: train says it exactly once
warns()
{
    rm -rf run
    expect 0 "$3" env OMP_NUM_THREADS="$1" $mpirun -np "$2" "$lockstep" train job.yaml --progress none
    [ "$(grep -cF -- "$3" err.txt)" = 1 ] || failed "train does not warn once of '$3': $(cat err.txt)"
}

# ---- Two threads a core, a quota, slow cores, memory domains
system smt 4
for i in 0 1 2 3; do echo "$((i % 2)),$((i % 2 + 2))" > "$cpu/cpu$i/topology/thread_siblings_list"; done
doctor none 'ok cores 2 of 4 threads (SMT)' 'ok threads 2 on 2 cores'
doctor 4 'warn threads of a core 4 threads on 2 cores' 'set OMP_NUM_THREADS=2'
doctor 6 'warn threads 6 threads on 2 cores that this process may use' 'set OMP_NUM_THREADS=2'
doctor 1 'warn threads 1 threads, 2 cores may be used'
warns 2 2 'threads of a core: 4 threads on 2 cores: two threads of a core (SMT) share its arithmetic units: set OMP_NUM_THREADS=1'

system quota 4
echo '0::/a' > "$LOCKSTEP_SYSTEM/proc/self/cgroup"
mkdir "$LOCKSTEP_SYSTEM/sys/fs/cgroup/a"
echo '150000 100000' > "$LOCKSTEP_SYSTEM/sys/fs/cgroup/a/cpu.max"
doctor none 'ok cores 4; the control group allows the time of 1.50 processors' 'ok threads 1 on 4 cores'
doctor 4 'warn processor quota the control group allows the time of 1.50 processors; 1 rank of 4 threads stand still' 'OMP_NUM_THREADS=1'
warns 2 2 'processor quota: the control group allows the time of 1.50 processors; 2 ranks of 2 threads stand still'

system hybrid 6
mkdir -p "$LOCKSTEP_SYSTEM"/sys/devices/cpu_core "$LOCKSTEP_SYSTEM"/sys/devices/cpu_atom
echo 0-1 > "$LOCKSTEP_SYSTEM/sys/devices/cpu_core/cpus"
echo 2-5 > "$LOCKSTEP_SYSTEM/sys/devices/cpu_atom/cpus"
doctor none 'ok cores 6, 2 fast and 4 slow' 'ok threads 2 on 6 cores'
doctor 6 'warn slow cores 6 threads, but 2 fast cores' 'set OMP_NUM_THREADS=2'
warns 3 1 'slow cores: 3 threads, but 2 fast cores'

system domains 4
mkdir -p "$LOCKSTEP_SYSTEM"/sys/devices/system/node/node0 "$LOCKSTEP_SYSTEM"/sys/devices/system/node/node1
echo 0-1 > "$LOCKSTEP_SYSTEM/sys/devices/system/node/online"
echo 0-1 > "$LOCKSTEP_SYSTEM/sys/devices/system/node/node0/cpulist"
echo 2-3 > "$LOCKSTEP_SYSTEM/sys/devices/system/node/node1/cpulist"
doctor none 'ok cores 4, in 2 memory domains' 'ok threads 4 on 4 cores' 'warn memory domains one rank over 2 memory domains' \
    'one rank a domain: mpirun -np 2'
warns 2 1 'memory domains: one rank over 2 memory domains'
unset LOCKSTEP_SYSTEM

# ---- Two OpenMP runtimes
echo 'int lockstep_test_runtime;' > runtime.c
if "${CC:-cc}" -shared -fPIC -o libiomp5.so runtime.c; then
    expect 0 '' env LD_PRELOAD="$folder/libiomp5.so" "$lockstep" doctor
    grep -q '^warn *OpenMP runtimes *lib[a-z0-9.]* and lib[a-z0-9.]* are both loaded' out.txt || failed "two runtimes: $(cat out.txt)"
else
    failed "no compiler for a second runtime"
fi
expect 0 '' "$lockstep" doctor
grep -q 'OpenMP runtimes' out.txt && failed "one runtime alone is no finding: $(cat out.txt)"

# ---- Absurd numbers are refused before threads start, in every command that has threads
for threads in 100000 99999999999; do
    OMP_NUM_THREADS=$threads says 2 "OMP_NUM_THREADS=$threads: at most" train job.yaml
    OMP_NUM_THREADS=$threads says 2 "OMP_NUM_THREADS=$threads: at most" doctor
    OMP_NUM_THREADS=$threads says 2 "OMP_NUM_THREADS=$threads: at most" generate run --prompt To
    OMP_NUM_THREADS=$threads says 2 "OMP_NUM_THREADS=$threads: at most" eval run
done
expect 2 'OMP_NUM_THREADS=100000: at most' env OMP_NUM_THREADS=100000 $mpirun -np 2 "$lockstep" train job.yaml
[ "$(grep -c '^lockstep: error: ' err.txt)" = 1 ] || failed "not one rank alone speaks: $(cat err.txt)"

# ---- Waiting: short spinning where the user has chosen nothing
# waiting TEXT VARIABLE...: what doctor says of waiting threads; the arguments with blanks arrive whole
waiting()
{
    local text=$1
    shift
    mkdir -p "with blank"
    expect 0 '' env -u OMP_WAIT_POLICY OMP_NUM_THREADS=2 "$@" "$lockstep" doctor "with blank"
    grep -q "waiting threads *$text" out.txt || failed "waiting threads with '$*': no '$text' in $(grep waiting out.txt)"
    grep -q 'with blank: ' out.txt || failed "arguments got lost: $(cat out.txt)"
}
waiting 'spin [1-9][0-9]* times, then sleep' LC_ALL=C
waiting 'spin 7 times, then sleep' GOMP_SPINCOUNT=7
waiting 'OMP_WAIT_POLICY passive' OMP_WAIT_POLICY=passive
waiting 'spin and then sleep as the OpenMP runtime does by default' OMP_NUM_THREADS=1

# ---- what killed jobs of Open MPI leave: named with its cure; what a process still has mapped, or is of a living one, is not
unset LOCKSTEP_SYSTEM
mkdir -p tmp
segment=/dev/shm/vader_segment.test$$.$(id -u).0.0 mapped=/dev/shm/vader_segment.test$$.$(id -u).0.1
sessions=tmp/ompi.$(hostname -s).$(id -u)
mkdir -p "$sessions/pid.4999999" "$sessions/pid.$$"
head -c 3000000 /dev/zero | tee $segment > $mapped
touch -d '1 hour ago' $segment $mapped
python3 -c 'import mmap, sys, time
file = open(sys.argv[1], "r+b")
held = mmap.mmap(file.fileno(), 0)
open("held", "w").close()
time.sleep(60)' $mapped &
holder=$!
for _ in $(seq 100); do [ -e held ] || sleep 0.1; done
TMPDIR=$PWD/tmp run_for 0 "$lockstep" doctor
[ "$(grep -c 'left by killed jobs' out.txt)" = 2 ] || failed "doctor does not name what killed jobs left: $(cat out.txt)"
grep -qF pid.4999999 out.txt || failed "doctor does not name the session folder of a process that is gone"
! grep -qF "pid.$$" out.txt || failed "doctor names the session folder of a living process"
# ... and the cures take away that alone, from whomever they are run by
TMPDIR=$PWD/tmp run_for 0 "$lockstep" doctor --json
python3 -c 'import json
for line in json.load(open("out.txt"))["lines"]:
    if line["name"] == "left by killed jobs":
        print(line["cure"].replace("vader_segment.*", "vader_segment.test'$$'.*"))' > cures.sh
! grep -qF "$mapped" out.txt || failed "doctor names a segment that is in use"
bash cures.sh || failed "the cures fail: $(cat cures.sh)"
[ ! -e $segment ] && [ ! -e "$sessions/pid.4999999" ] || failed "the cures leave what is dead: $(cat cures.sh)"
[ -e $mapped ] && [ -e "$sessions/pid.$$" ] || failed "the cures remove what is in use: $(cat cures.sh)"
kill $holder
rm -f $segment $mapped
finish
