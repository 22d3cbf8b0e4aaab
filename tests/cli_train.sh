#!/usr/bin/env bash
# Training as a user runs it: resumption to the bit after stops, kills and failing disks; signals; divergence; bad input.
# usage: cli_train.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# rows FILE: metrics without what depends on time
rows() { sed 's/, "tokens_per_second.*//' "$1"; }

# same A B: two runs have the same metrics, and the same last checkpoint byte for byte
same()
{
    rows "$1/runs/x/metrics.jsonl" > a.txt
    rows "$2/runs/x/metrics.jsonl" > b.txt
    cmp -s a.txt b.txt || failed "$3: metrics differ: $(diff a.txt b.txt | head -4)"
    cmp -s "$1/runs/x/checkpoints/step-00000200.h5" "$2/runs/x/checkpoints/step-00000200.h5" || failed "$3: the last checkpoints differ"
    [ "$(cat "$2/runs/x/status")" = done ] || failed "$3: status $(cat "$2/runs/x/status")"
}

# wait_rows RUN N PID: until metrics.jsonl has N rows
wait_rows()
{
    for _ in $(seq 600); do
        [ -f "$1/metrics.jsonl" ] && [ "$(wc -l < "$1/metrics.jsonl")" -ge "$2" ] && return
        kill -0 "$3" 2> /dev/null || return
        sleep 0.02
    done
    failed "$1 has no $2 rows after 12 s"
}

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16}
data: {path: ../data.h5}
train: {steps: 200, batch: 12, sequence: 16, schedule: constant, warmup: 20, learning_rate: 3e-3, evaluate_every: 50, evaluate_batches: 3}
output: {path: runs/x, save_every: 50, keep: 2}
JOB
fresh() { rm -rf "$1"; mkdir -p "$1"; cd "$1" || exit 1; }

# ---- a straight run, and what it leaves
fresh straight
expect 0 'validation loss' "$lockstep" train ../job.yaml
for name in config.yaml metrics.jsonl status log.txt checkpoints/step-00000200.h5 checkpoints/step-00000150.h5; do
    [ -s runs/x/$name ] || failed "runs/x/$name is missing"
done
[ "$(wc -l < runs/x/metrics.jsonl)" = 200 ] || failed "rows of metrics: $(wc -l < runs/x/metrics.jsonl)"
[ "$(grep -c validation_loss runs/x/metrics.jsonl)" = 4 ] || failed "rows with a validation loss"
awk 'NR == 1 { sub(/.*"loss": /, ""); first = $1 + 0 } END { sub(/.*"loss": /, ""); exit !($1 + 0 < 0.8 * first) }' runs/x/metrics.jsonl ||
    failed "the loss does not fall: $(sed -n '1p;$p' runs/x/metrics.jsonl)"
expect 0 'nothing to do' "$lockstep" train ../job.yaml
cd ..

# ---- 100 steps, then 100 more
fresh halves
expect 0 '' "$lockstep" train ../job.yaml train.steps=100
expect 0 'train.steps: 100 in the checkpoint, 200 now' "$lockstep" train ../job.yaml
grep -q 'going on from .*step-00000100.h5' err.txt || failed "the log does not say what it went on from"
cd ..
same straight halves '100 + 100 steps'

# ---- the same in bfloat16; a checkpoint goes on in the other precision
fresh coarse
expect 0 '' "$lockstep" train ../job.yaml train.precision=bfloat16
cd ..
fresh coarse-halves
expect 0 '' "$lockstep" train ../job.yaml train.precision=bfloat16 train.steps=100
OMP_NUM_THREADS=2 expect 0 'train.steps: 100 in the checkpoint, 200 now' "$lockstep" train ../job.yaml train.precision=bfloat16
cd ..
same coarse coarse-halves '100 + 100 steps in bfloat16'
cmp -s straight/runs/x/checkpoints/step-00000200.h5 coarse/runs/x/checkpoints/step-00000200.h5 && failed 'bfloat16 makes no difference'
cp -r coarse crossed && rm crossed/runs/x/checkpoints/step-00000200.h5 && cd crossed || exit 1
expect 0 'train.precision: bfloat16 in the checkpoint, float now' "$lockstep" train ../job.yaml
tail -qn 1 ../straight/runs/x/metrics.jsonl runs/x/metrics.jsonl ../coarse/runs/x/metrics.jsonl | sed 's/.*"loss": \([^,]*\),.*/\1/' |
    awk 'NR == 1 { a = $1 } { d = $1 / a - 1; if (d > 0.02 || d < -0.02) bad = 1 } END { exit bad || NR != 3 }' ||
    failed "losses of float, mixed and bfloat16: $(tail -qn 1 ../*/runs/x/metrics.jsonl)"
cd ..

# ---- two threads
fresh threads
OMP_NUM_THREADS=2 expect 0 '' "$lockstep" train ../job.yaml
cd ..
same straight threads 'two threads'

# ---- ranks: a stop under mpirun, resumed by one rank; losses as of one rank to 1e-5
fresh ranks
$mpirun -np 2 "$lockstep" train ../job.yaml > /dev/null 2> err.txt &
pid=$!
wait_rows runs/x 30 $pid
kill -USR1 $pid
wait $pid
code=$?
[ $code = 75 ] || failed "SIGUSR1 to mpirun: exit $code: $(tail -3 err.txt)"
[ "$(cat runs/x/status)" = requeue ] || failed "SIGUSR1 to mpirun: status $(cat runs/x/status)"
[ "$(grep -c 'run me again' err.txt)" = 1 ] || failed "not one rank alone speaks: $(cat err.txt)"
expect 0 '' "$lockstep" train ../job.yaml
paste -d' ' <(sed 's/.*"loss": \([^,]*\),.*/\1/' runs/x/metrics.jsonl) <(sed 's/.*"loss": \([^,]*\),.*/\1/' ../straight/runs/x/metrics.jsonl) |
    awk 'NR <= 50 { d = $1 / $2 - 1; if (!(d < 1e-5 && d > -1e-5)) bad++ } END { exit bad || NR != 200 }' || failed "two ranks give other losses"
expect 2 'cannot be divided among 2 ranks' $mpirun -np 2 "$lockstep" train ../job.yaml train.batch=7 output.path=runs/y
grep -q 'saves after' err.txt && failed "what ends a rank of a job that failed is told as a stop: $(cat err.txt)"
[ "$(grep -c 'cannot be divided' err.txt)" = 1 ] || failed "told more than once: $(cat err.txt)"
[ -e runs/y ] && failed "a refused run left its folder"
cd ..

# ---- divergence: the bad tensor is named, the last good checkpoint is kept
for ranks in 1 2; do
    fresh diverged
    run="$lockstep"
    [ $ranks = 2 ] && run="$mpirun -np 2 $lockstep"
    expect 0 '' $run train ../job.yaml train.steps=50 train.optimizer=sgd
    expect 5 'is not finite' $run train ../job.yaml train.optimizer=sgd train.learning_rate=1e6 train.clip=0 train.warmup=0
    grep -Eq 'step [0-9]+: .* is not finite: .*(parameter|tensor) [a-z]' err.txt || failed "no tensor is named: $(cat err.txt)"
    [ "$(cat runs/x/status)" = diverged ] || failed "status $(cat runs/x/status)"
    expect 0 'step-00000050.h5 after step 50' "$lockstep" train ../job.yaml train.optimizer=sgd train.steps=60
    cd ..
done

end_of_repetition

# ---- killed at random moments, and inside the file calls of saves
fresh killed
for attempt in 1 2 3; do
    "$lockstep" train ../job.yaml > /dev/null 2> err.txt &
    pid=$!
    wait_rows runs/x $((RANDOM % 50 + 50 * attempt - 30)) $pid
    kill -KILL $pid 2> /dev/null
    wait $pid 2> /dev/null
done
for attempt in 1 2 3; do
    { LOCKSTEP_FAULT=kill:$((RANDOM % 40 + 1)) "$lockstep" train ../job.yaml; } > /dev/null 2>&1
done
expect 0 '' "$lockstep" train ../job.yaml
cd ..
same straight killed 'killed and resumed'
ls killed/runs/x killed/runs/x/checkpoints | grep -q tmp && failed "temporary files are left: $(ls killed/runs/x/checkpoints)"

# ---- errors of reading: the data's are status 3, the newest checkpoint's 4; nothing older is taken for it, and nothing is renamed
fresh unread
expect 0 '' "$lockstep" train ../job.yaml train.steps=100
codes=' '
for n in 2 10 20 30 34 36 38 41 44 48 52 60 90 100000; do
    LOCKSTEP_FAULT=read:$n "$lockstep" train ../job.yaml train.steps=101 > /dev/null 2> err.txt
    code=$?
    codes+="$code "
    [ $code = 0 ] || grep -q 'Input/output error' err.txt || failed "read:$n: $(cat err.txt)"
done
[ "$(tr ' ' '\n' <<< "$codes" | sort -n | uniq | xargs)" = '0 3 4' ] && [[ $codes =~ ^[^0]*\ 0\ $ ]] || failed "errors of reading give$codes"
ls runs/x/checkpoints | grep -q aside && failed "set aside: $(ls runs/x/checkpoints)"
grep -q 'going on from .*step-00000100.h5' err.txt || failed "after errors of reading: $(cat err.txt)"
cd ..

# ---- signals: saved, 75, requeue; the same command goes on
for signal in USR1 TERM INT; do
    fresh signalled
    setsid "$lockstep" train ../job.yaml --trace trace.json > /dev/null 2> err.txt &
    pid=$!
    wait_rows runs/x 70 $pid
    kill -$signal $pid
    wait $pid
    code=$?
    [ $code = 75 ] || failed "SIG$signal: exit $code: $(tail -3 err.txt)"
    [ "$(cat runs/x/status)" = requeue ] || failed "SIG$signal: status $(cat runs/x/status)"
    [ "$(tail -n 1 trace.json)" = ']' ] && grep -q '"labels":"complete"' trace.json && grep -q '"cat":"checkpoint"' trace.json &&
        grep -q '"cat":"evaluation"' trace.json || failed "SIG$signal: the trace is not complete: $(tail -n 2 trace.json)"
    grep -q 'run me again' err.txt || failed "SIG$signal: the log does not say what to do"
    expect 0 '' "$lockstep" train ../job.yaml
    cd ..
    same straight signalled "stopped by SIG$signal"
done

# ---- a rank that stands still: the others end the job, status 6, and name it
fresh hangs
LOCKSTEP_TIMEOUT=0.7 setsid $mpirun -np 2 "$lockstep" train ../job.yaml train.steps=1000000 model.width=64 train.batch=64 output.save_every=0 \
    train.evaluate_every=0 output.log_every=10 --trace trace.json > /dev/null 2> err.txt &
pid=$!
wait_rows runs/x 5 $pid
for _ in $(seq 20); do # between sums a rank may also be met in a short agreement, which waits for ever: then it goes on and is met again
    victim=$(ps -o pid=,args= --sid "$pid" | awk -v program="$lockstep" '$2 == program { last = $1 } END { print last }')
    [ -n "$victim" ] || break
    kill -STOP "$victim" 2> /dev/null
    for _ in $(seq 15); do kill -0 $pid 2> /dev/null && sleep 0.1; done
    kill -CONT "$victim" 2> /dev/null
    kill -0 $pid 2> /dev/null || break
    sleep 0.1
done
wait $pid
code=$?
[ $code = 6 ] || failed "a rank that stands still: exit $code: $(tail -5 err.txt)"
grep -q 'nothing has moved for' err.txt || failed "a rank that stands still is not named: $(tail -5 err.txt)"
cd ..

# ---- a rank that never comes: MPI's start has the same limit, and the rank is named
fresh absent
LOCKSTEP_TIMEOUT=1 timeout 60 $mpirun -np 3 bash -c 'test $OMPI_COMM_WORLD_RANK = 1 && exec sleep 50; exec "$0" "$@"' "$lockstep" \
    train ../job.yaml > /dev/null 2> err.txt
code=$?
[ $code = 6 ] || failed "a rank that never comes: exit $code: $(tail -5 err.txt)"
[ "$(grep -c 'rank 1 of the 3 on this node never came' err.txt)" = 1 ] || failed "a rank that never comes is not named: $(tail -5 err.txt)"
cd ..

# ---- a disk that fills up
fresh full
expect 7 'No space left' env LOCKSTEP_FAULT=full:45 "$lockstep" train ../job.yaml
[ -s runs/x/checkpoints/step-00000050.h5 ] || [ -z "$(ls runs/x/checkpoints)" ] || failed "full disk: $(ls runs/x/checkpoints)"
[ "$(cat runs/x/status)" = failed ] || failed "full disk: status $(cat runs/x/status)"
expect 0 '' "$lockstep" train ../job.yaml
cd ..
same straight full 'full disk and resumed'

# ---- what is refused, with nothing written
fresh refused
cp -r ../straight/runs .
before=$(cd runs && find . -type f -exec cksum {} +)
expect 2 'holds a run already' "$lockstep" train ../job.yaml --resume never
expect 4 'there is no checkpoint' "$lockstep" train ../job.yaml --resume nowhere
expect 2 'model.width: 32 in the checkpoint, 64 now' "$lockstep" train ../job.yaml model.width=64
"$lockstep" prepare text ../job.yaml -o other.h5 --tokenizer characters --validation 0.1 > /dev/null 2>&1
expect 2 'digest differs' "$lockstep" train ../job.yaml data.path=other.h5
expect 3 'missing.h5' "$lockstep" train ../job.yaml data.path=missing.h5
expect 2 'did you mean' "$lockstep" train ../job.yaml train.setps=4
expect 2 'is longer than model.context' "$lockstep" train ../job.yaml train.sequence=17 output.path=runs/z
expect 6 'SLURM_NTASKS says 4' env SLURM_NTASKS=4 "$lockstep" train ../job.yaml
expect 6 'srun --mpi=pmix' env SLURM_JOBID=1 SLURM_NODELIST=localhost SLURM_STEP_ID=0 "$lockstep" train ../job.yaml
[ "$(wc -l < err.txt)" = 1 ] || failed "a bare step of srun: more is said than one message: $(cat err.txt)"
SLURM_JOBID=1 SLURM_NODELIST=localhost SLURM_STEP_ID=0 "$lockstep" doctor > out.txt 2> err.txt && failed 'doctor is content with a bare step of srun'
grep -q 'FAIL *launch .*srun' out.txt || failed "doctor in a bare step of srun: $(grep launch out.txt)"
expect 2 'progress' "$lockstep" train ../job.yaml --progress loud
[ "$before" = "$(cd runs && find . -type f -exec cksum {} +)" ] || failed "a refused command changed the run folder"
touch file
for path in file/run /sys/lockstep-run; do # the second: read-only for root too
    code=0
    "$lockstep" train ../job.yaml output.path=$path 2> err.txt || code=$?
    [ $code = 2 ] && grep -q "error: ${path%/run}" err.txt || failed "a folder that cannot be made: exit $code: $(cat err.txt)"
done
cp ../data.h5 moved.h5
expect 0 'nothing to do' env SLURM_JOBID=1 SLURM_NODELIST=localhost SLURM_STEP_ID=0 SLURM_NTASKS=1 "$lockstep" train ../job.yaml
expect 0 'nothing to do' "$lockstep" train ../job.yaml data.path=moved.h5
"$lockstep" train ../job.yaml --dry-run output.path=runs/dry > out.txt 2> err.txt || failed "dry run: $(cat err.txt)"
grep -q '^model .*parameters' out.txt && grep -q '^memory of a rank' out.txt && grep -q '^disk' out.txt || failed "dry run: $(cat out.txt)"
[ -e runs/dry ] && failed "the dry run left a folder"

# ---- going back to an older checkpoint sets the newer ones aside
expect 0 'aside' "$lockstep" train ../job.yaml --resume runs/x/checkpoints/step-00000150.h5
cd ..
same straight refused 'resumed from a named checkpoint'

# ---- progress: a line now and then, or none; no control characters outside a terminal
cd straight || exit 1
rm -r runs
"$lockstep" train ../job.yaml train.steps=3 --progress none 2> err.txt
grep -q '^lockstep: step' err.txt && failed "--progress none speaks"
rm -r runs
"$lockstep" train ../job.yaml train.steps=3 2> err.txt
grep -q '^lockstep: step 3/3 .*loss' err.txt || failed "no line of progress: $(cat err.txt)"
LC_ALL=C grep -q $'[\r\033]' err.txt && failed "control characters outside a terminal"
cd ..

finish
