#!/usr/bin/env bash
# One writer at a time: the locks of run folders and output files, what kills leave, what is told of a run that was interrupted, and what
# a training does about files that are changed behind its back.
# usage: cli_lock.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16}
data: {path: data.h5}
train: {steps: 60, batch: 4, sequence: 16, schedule: constant, evaluate_every: 0}
output: {path: x, save_every: 20}
JOB
slow='train.steps=1000000 output.save_every=0'
state() { (cd "$1" && find . -type f ! -name log.txt ! -name metrics.jsonl -exec cksum {} + | sort); }

# start RUN: trains in the background, into $pid, until it writes rows
start()
{
    "$lockstep" train job.yaml output.path="$1" $slow > /dev/null 2> background.txt &
    pid=$!
    for _ in $(seq 600); do
        [ -s "$1/metrics.jsonl" ] && [ "$(wc -l < "$1/metrics.jsonl")" -ge "${2:-3}" ] && return
        kill -0 $pid 2> /dev/null || break
        sleep 0.02
    done
    failed "no training in $1: $(cat background.txt)"
}
# stop: the training in the background ends as one that was stopped
stop()
{
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    [ $code = 75 ] || failed "the training in the background: exit $code: $(tail -3 background.txt)"
}

# ---- two trainings in one folder: the second is refused by name, and nothing is touched
expect 0 '' "$lockstep" train job.yaml # checkpoints to read and to spoil
start x 70
before=$(state x)
expect 2 'another process writes there: lockstep train' "$lockstep" train job.yaml
grep -q "process $pid on $(hostname), since 20[0-9-]* [0-9:]* UTC" err.txt && grep -q 'remove x/lockstep.lock' err.txt ||
    failed "the owner or the cure is not named: $(cat err.txt)"
[ "$(grep -c '^lockstep: error: ' err.txt)" = 1 ] || failed "not one error line: $(cat err.txt)"
expect 2 'another process writes there' "$lockstep" train job.yaml --resume never
expect 2 'another process writes there' "$lockstep" train job.yaml output.path=./../"$(basename "$PWD")"/x/
expect 2 'another process writes there' $mpirun -np 2 "$lockstep" train job.yaml
[ "$(grep -c '^lockstep: error: ' err.txt)" = 1 ] || failed "not one rank alone speaks: $(cat err.txt)"
expect 2 'another process writes there' "$lockstep" import "$fixtures/gpt2-tiny" -o x
expect 2 'x: is a run; export to a folder of its own' "$lockstep" export x -o x
touch x/checkpoints/step-00000080.h5.tmp-1-0 x/logits.h5.tmp-1-0
[ "$before" = "$(state x | grep -v tmp)" ] || failed "a refused command changed the folder"

# ---- who only reads may do so meanwhile
expect 0 '' "$lockstep" eval x
expect 0 '' "$lockstep" generate x --prompt the --tokens 3
expect 0 '' "$lockstep" predict x --input text.txt -o logits.h5
says 0 "process $pid on $(hostname)" inspect x
expect 0 '' "$lockstep" diff x x
expect 0 '' "$lockstep" export x -o exported
stop
[ -e x/lockstep.lock ] && failed 'the lock outlived its owner'
[ -e x/checkpoints/step-00000080.h5.tmp-1-0 ] && failed 'a left-over of a save was kept'
[ -e x/logits.h5.tmp-1-0 ] || failed "another command's temporary file was removed"
says 0 'requeue' inspect x
rm -r x

# ---- a training that is killed: recognised by the lock that it leaves, told by inspect and train, never in the way
for ranks in 1 2; do
    run="$lockstep"
    [ $ranks = 2 ] && run="$mpirun -np 2 $lockstep"
    expect 0 '' "$lockstep" train job.yaml output.path=killed train.steps=20
    start killed 25
    kill -KILL $pid
    wait $pid 2> /dev/null
    [ "$(cat killed/status)" = running ] && [ -e killed/lockstep.lock ] || failed 'a killed training leaves no trace'
    says 0 'ended without a word' inspect killed
    says 0 '"alive": false' inspect killed --json
    expect 0 'ended without a word' $run train job.yaml output.path=killed
    grep -q "process $pid on .* is gone" err.txt || failed "the stale lock is not told: $(cat err.txt)"
    [ "$(cat killed/status)" = done ] && [ ! -e killed/lockstep.lock ] || failed 'the killed run did not come through'
    says 0 'done' inspect killed
    grep -q 'ended without a word' out.txt && failed 'a run that is done is called interrupted'
    # killed between its last word and its end: nothing to go on with, and the lock goes with the next training
    printf 'LOCKSTEP lock 1\ncommand train\nhost %s\npid 1\nstarted 1\nboot %s\nnamespace %s\nrestart 0\n' "$(hostname)" \
        "$(cat /proc/sys/kernel/random/boot_id)" "$(readlink /proc/self/ns/pid)" > killed/lockstep.lock
    says 0 'the next command that writes there removes its lock' inspect killed
    expect 0 'nothing to do' "$lockstep" train job.yaml output.path=killed
    [ ! -e killed/lockstep.lock ] || failed 'a stale lock of a run that is done stays'
    rm -r killed
done

# ---- of many that start at once one trains, the others are refused
for i in 1 2 3 4 5 6; do
    (code=0; "$lockstep" train job.yaml output.path=race train.steps=400 > /dev/null 2> race-$i.txt || code=$?; echo $code > race-$i.code) &
done
wait
[ "$(cat race-?.code | sort | xargs)" = '0 2 2 2 2 2' ] || failed "a race: $(cat race-?.code | xargs): $(cat race-?.txt | grep error)"
[ "$(wc -l < race/metrics.jsonl)" = 400 ] || failed "rows after a race: $(wc -l < race/metrics.jsonl)"

# ---- a process number that was given out again is no owner; a lock without text is what a kill leaves
mkdir -p again
sleep 100 & # lives, and began at another time
sed -e "s/^pid .*/pid $!/" > again/lockstep.lock << LOCK
LOCKSTEP lock 1
command train
host $(hostname)
pid 0
started 1
boot $(cat /proc/sys/kernel/random/boot_id)
machine $(cat /etc/machine-id 2> /dev/null)
namespace $(readlink /proc/self/ns/pid)
job 
restart 0
since 2026-01-02T03:04:05Z
LOCK
expect 0 "process $! on $(hostname), since 2026-01-02 03:04:05 UTC is gone" "$lockstep" train job.yaml output.path=again train.steps=2
kill $!
: > again/lockstep.lock
expect 0 '' "$lockstep" train job.yaml output.path=again train.steps=3
# ---- what is no lock is not removed
echo mine > again/lockstep.lock
expect 2 'is no lock of this program' "$lockstep" train job.yaml output.path=again train.steps=4
[ "$(cat again/lockstep.lock)" = mine ] || failed "a stranger's file was removed"
rm again/lockstep.lock
mkfifo again/lockstep.lock
expect 2 'in the way of the lock' timeout 20 "$lockstep" train job.yaml output.path=again train.steps=4

# ---- the folder, or its lock, removed while a training writes there: it ends, and says so
for what in lockstep.lock ''; do
    start gone
    rm -rf gone/$what || rm -rf gone/$what # the training may write a file while rm goes through
    code=0
    wait $pid || code=$?
    [ $code = 1 ] && grep -q 'was removed or taken over' background.txt || failed "gone/$what removed: exit $code: $(tail -3 background.txt)"
    rm -rf gone
done
# ---- metrics.jsonl removed: told, and begun anew
start rows
rm rows/metrics.jsonl
sleep 0.3
stop
grep -q 'metrics.jsonl: was removed' background.txt || failed "rows that were removed are not told: $(cat background.txt)"
[ -s rows/metrics.jsonl ] || failed 'no rows were written after metrics.jsonl was removed'
expect 0 'were written; the training goes on without' "$lockstep" train job.yaml output.path=rows train.steps=$(("$(grep -o '"step": [0-9]*' rows/metrics.jsonl | tail -n 1 | tr -dc 0-9)" + 5))

# ---- a damaged row is set aside, the others stay
expect 0 '' "$lockstep" train job.yaml output.path=rot train.steps=20
cp rot/metrics.jsonl whole.jsonl
for line in 1 7 20; do
    cp -r rot rotten
    sed -i "${line}s/\"loss\"/\"lo\x01s/" rotten/metrics.jsonl
    expect 0 'metrics.jsonl: 1 of its lines cannot be read' "$lockstep" train job.yaml output.path=rotten train.steps=25
    sed -n "${line}p" rot/metrics.jsonl | cut -c1-10 | cmp -s - <(cut -c1-10 rotten/metrics.jsonl.damaged) || failed "line $line is not set aside"
    [ "$(wc -l < rotten/metrics.jsonl)" = 24 ] || failed "line $line damaged: $(wc -l < rotten/metrics.jsonl) rows left"
    cmp -s <(sed "${line}d" whole.jsonl) <(head -n 19 rotten/metrics.jsonl) || failed "line $line damaged: other rows changed"
    rm -r rotten
done
cp -r rot rotten
sed -i '1s/"step": 1,/"step": 9,/' rotten/metrics.jsonl # one bit
printf '{"step": 21, "lo' >> rotten/metrics.jsonl       # what a kill leaves
expect 0 'the first is line 1' "$lockstep" train job.yaml output.path=rotten train.steps=25
[ "$(wc -l < rotten/metrics.jsonl)" = 24 ] || failed "a changed step: $(wc -l < rotten/metrics.jsonl) rows left"

# ---- nothing to do: nothing is changed
before=$(state rot)
cp rot/metrics.jsonl rows.txt
expect 0 'nothing to do' "$lockstep" train job.yaml output.path=rot train.steps=20 train.learning_rate=0.7 output.keep=1
expect 0 'nothing to do' "$lockstep" train job.yaml output.path=rot train.steps=10 train.clip=5
[ "$before" = "$(state rot)" ] && cmp -s rows.txt rot/metrics.jsonl || failed "a training with nothing to do changed $(diff <(echo "$before") <(state rot))"

# ---- killed at any of their calls, prepare, predict, import and export leave nothing that a second try does not clear away
left() { find . -name '*.tmp-*' -o -name '*.lock' | grep -v '^./\(x\|again\)/' | xargs; }
each() # each COMMAND...: writes to out, or out.h5
{
    local n code=1
    for n in 1 2 3 4 6 9 14 30 100 1000; do
        rm -rf out out.h5
        { LOCKSTEP_FAULT=kill:$n "$@" > /dev/null 2>&1; } 2> /dev/null
        code=$?
        [ $code = 137 ] || break
        "$@" > out.txt 2> err.txt || grep -q 'has checkpoints already' err.txt || failed "$*: after kill:$n: $(cat err.txt)"
        [ -z "$(left)" ] || failed "$*: after kill:$n: left $(left)"
    done
    [ $code = 0 ] && [ "$n" -gt 4 ] || failed "$*: kills ended at call $n with status $code"
}
mkfifo_lock=again/lockstep.lock
rm -f $mkfifo_lock
each "$lockstep" prepare text text.txt -o out.h5
each "$lockstep" predict rot --ids 1,2,3 -o out.h5
each "$lockstep" import "$fixtures/gpt2-tiny" -o out
each "$lockstep" export rot -o out

# ---- a failure leaves no folder that was made for it
for n in 1 3 5 8 12; do
    rm -rf out
    LOCKSTEP_FAULT=full:$n expect 7 '' "$lockstep" export rot -o out/deep/folder
    [ -e out ] && failed "export, full:$n: left $(find out)"
    LOCKSTEP_FAULT=full:$n expect 7 '' "$lockstep" import "$fixtures/gpt2-tiny" -o out/deep
    [ -e out ] && failed "import, full:$n: left $(find out)"
done
# ---- two that write one file
head -c 30000000 /dev/zero | tr '\0' 'a' > long.txt
"$lockstep" prepare text long.txt -o long.h5 > /dev/null 2>&1 &
pid=$!
# its owner stands in it a moment after it is made
for _ in $(seq 200); do [ -s long.h5.lock ] && break; kill -0 $pid 2> /dev/null || break; sleep 0.005; done
kill -STOP $pid
[ -e long.h5.lock ] || failed 'prepare takes no lock'
expect 2 'another process writes there: lockstep prepare' "$lockstep" prepare text text.txt -o long.h5
kill -CONT $pid
wait $pid || failed 'the first prepare failed'

# ---- an export or an import into a folder that another export writes to, stopped in the middle: before its call of this number
rm -rf shared
LOCKSTEP_FAULT=stop:8 "$lockstep" export rot -o shared > out.txt 2> err.txt &
pid=$!
for _ in $(seq 400); do [ "$(ps -o stat= -p $pid)" = T ] && break; kill -0 $pid 2> /dev/null || break; sleep 0.01; done
[ -e shared/lockstep.lock ] || failed 'export takes no lock'
before=$(state shared)
expect 2 'another process writes there: lockstep export' "$lockstep" export rot -o shared
grep -q "process $pid on $(hostname)" err.txt || failed "the owner is not named: $(cat err.txt)"
expect 2 'another process writes there: lockstep export' "$lockstep" import "$fixtures/gpt2-tiny" -o shared
[ "$before" = "$(state shared)" ] || failed 'a refused export changed the folder'
kill -CONT $pid
wait $pid || failed "the first export failed: $(cat err.txt)"
expect 0 '' "$lockstep" export rot -o shared

finish
