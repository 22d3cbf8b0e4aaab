#!/usr/bin/env bash
# A sequence of 1,048,576 tokens trains: the loss and the whole gradient do not depend on how it is cut; memory is that of a segment. The
# times of a step are told, and are no condition: they are the machine's.
# usage: cli_sequence_long.sh PROGRAM
. "$(dirname "$0")/cli.inc"
unset OMP_NUM_THREADS # all cores

value() { sed -n "s/.*\"$2\": \([-0-9.e+]*\).*/\1/p" "$1" | tail -1; }

# near A B ALLOWED WHAT
near() { awk -v a="$1" -v b="$2" -v allowed="$3" 'BEGIN { d = a - b; d = d < 0 ? -d : d; exit !(a != "" && b > 0 && d <= allowed * b) }' || failed "$4: $1, $2"; }

random_words 280000 > text.txt
prepare data.h5 --tokenizer bytes --validation 0
cat > job.yaml <<'JOB'
model: {kind: mamba, layers: 2, width: 64, context: 256}
data: {path: data.h5}
train: {steps: 2, batch: 1, schedule: constant, warmup: 1, learning_rate: 3e-3}
output: {path: runs/x}
JOB

# run NAME key=value...: trains two steps
run()
{
    local name=$1
    shift
    "$lockstep" train job.yaml --progress none output.path=runs/$name "$@" > /dev/null 2> err.txt || failed "$name: $(tail -3 err.txt)"
}

run whole train.sequence=65536
run cut train.sequence=65536 train.segment=512
run long train.sequence=1048576 train.segment=1024
run longer train.sequence=1048576 train.segment=16000
run chosen train.sequence=1048576 train.memory=1GiB
grep -q 'sequences are computed in [0-9]* segments' err.txt || failed "1 GiB: $(cat err.txt)"
for name in loss grad_norm; do
    near "$(value runs/cut/metrics.jsonl $name)" "$(value runs/whole/metrics.jsonl $name)" 1e-4 "65,536 tokens, $name: in segments and whole"
    for run in longer chosen; do
        near "$(value runs/long/metrics.jsonl $name)" "$(value runs/$run/metrics.jsonl $name)" 1e-4 "1,048,576 tokens, $name: long and $run"
    done
done
[ "$(value runs/long/metrics.jsonl tokens)" = 2097152 ] || failed "tokens: $(tail -1 runs/long/metrics.jsonl)"

for sequence in 4096 1048576; do
    "$lockstep" bench job.yaml --json --steps 1 --warmup 1 train.sequence=$sequence train.segment=512 > $sequence.json 2> err.txt || failed "bench: $(cat err.txt)"
done
short=$(value 4096.json step_seconds_min) long=$(value 1048576.json step_seconds_min) memory=$(value 1048576.json memory_bytes)
awk -v memory="$memory" 'BEGIN { exit !(memory > 0 && memory < 400 * 1048576) }' || failed "memory: $memory bytes"
echo "1,048,576 tokens: $long s a step ($short s for 4,096), $memory bytes"

finish
