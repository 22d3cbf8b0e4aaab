#!/usr/bin/env bash
# train.memory as a user sets it: the plan, the peak that is really reached, refusals before anything starts, the same bits under a limit.
# usage: cli_memory.sh PROGRAM
. "$(dirname "$0")/cli.inc"
export OMP_NUM_THREADS=2

for i in $(seq 400); do echo "line $i of a text that says little, $((i * i % 97)) times over"; done > text.txt
prepare text.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<YAML
model: {kind: gpt, layers: 6, width: 64, heads: 4, context: 64, dropout: 0.1}
data: {path: text.h5}
train: {steps: 3, batch: 16, learning_rate: 1e-3, evaluate_batches: 1, evaluate_every: 0}
output: {path: runs/plain, save_every: 0}
YAML

# Limits that are nothing; limits that nothing fits into, and that less at once would fit into.
expect 2 "train.memory: '4 parsecs' is not a number of bytes" "$lockstep" train job.yaml train.memory='4 parsecs'
expect 7 "train.memory allows" "$lockstep" train job.yaml train.memory=1MiB
[ ! -e runs/plain ] || failed "a run that was refused left a folder"
expect 0 "" "$lockstep" train job.yaml --dry-run
base=$(sed -n 's/^  base *\([0-9.]*\) MiB/\1/p' out.txt)
grep -q "again" out.txt && failed "the plain plan makes something again: $(cat out.txt)"
plain=$(sed -n 's/^memory of a rank *\([0-9.]*\) MiB.*/\1/p' out.txt)
activations=$(sed -n 's/^  activations *\([0-9.]*\) MiB/\1/p' out.txt)
least() { awk "BEGIN {print int(1024 * ($plain - $activations * $1))}"; }
expect 7 "train.micro_batch=" "$lockstep" train job.yaml train.memory="$(least 0.93)KiB" --dry-run
grep -q "^memory of a rank .*MiB; train.memory allows" out.txt && grep -q "^  activations  *$activations MiB" out.txt || failed "what does not fit is not shown: $(cat out.txt)"
expect 7 "train.micro_batch=" "$lockstep" train job.yaml train.memory="$(least 0.93)KiB" --dry-run --json
python3 - <<'PY' || failed "--dry-run --json of what does not fit: $(cat out.txt)"
import json
memory = json.load(open("out.txt"))["memory"]
assert memory["fits"] is False and memory["total_bytes"] > memory["limit_bytes"] > 0 and memory["parts"]["activations"] > 0
PY
expect 0 "" "$lockstep" train job.yaml --dry-run --json
grep -q '"fits": true' out.txt || failed "a plan that fits does not say so: $(cat out.txt)"

# Half the activations: the plan says what it does, and the run gives the same bits.
expect 0 "" "$lockstep" train job.yaml train.memory="$(least 0.4)KiB" --dry-run
grep -q "backward makes [0-9]* results again" out.txt || failed "nothing is made again: $(cat out.txt)"
expect 0 "" "$lockstep" train job.yaml --progress none
expect 0 "results again" "$lockstep" train job.yaml train.memory="$(least 0.4)KiB" output.path=runs/limited --progress none
for run in plain limited; do sed 's/, "tokens_per_second.*//' runs/$run/metrics.jsonl > $run.txt; done
cmp -s plain.txt limited.txt || failed "other metrics under a limit: $(diff plain.txt limited.txt | head -4)"
expect 0 "" "$lockstep" diff runs/plain runs/limited

# The plan against the peak of a run that takes some hundred megabytes: within 5 %, and below a limit.
mebibytes() { sed -n "s/^.*memory of this rank: \([0-9.]*\) MiB at most, \([0-9.]*\) MiB planned/\\$1/p" err.txt; }
sizes=(train.batch=160 train.steps=1) # narrow and many: little to compute for the memory that it takes
for precision in float bfloat16; do
    expect 0 "" "$lockstep" train job.yaml "${sizes[@]}" train.precision=$precision output.path=runs/$precision --progress none
    real=$(mebibytes 1) planned=$(mebibytes 2)
    awk "BEGIN {exit !($real > 120 && $planned > 0.95 * $real && $planned < 1.05 * $real)}" || failed "$precision: planned $planned, resident $real"
    limit=$(awk "BEGIN {print int(0.75 * $real)}")
    expect 0 "results again" "$lockstep" train job.yaml "${sizes[@]}" train.precision=$precision output.path=runs/less-$precision --progress none \
        train.memory="${limit}MiB"
    less=$(mebibytes 1)
    awk "BEGIN {exit !($less > 0 && $less < 1.05 * $limit)}" || failed "$precision: a limit of $limit MiB, resident $less"
    echo "$precision: $real MiB resident, $planned planned; limit $limit, $less resident"
done
[ -n "$base" ] || failed "no base in the plan"

# Without a data set HDF5 is used for the first time when a checkpoint is saved: the plan knows that.
cat > rule.yaml <<'YAML'
model: {kind: mingru, layers: 1, width: 16}
task: {kind: tagging}
data: {kind: generated, rule: selective_copy, length: 20, items: 2, symbols: 4, held_out: 96}
train: {steps: 20, batch: 32, warmup: 0, evaluate_every: 10}
output: {path: runs/rule, save_every: 10}
YAML
for job in rule.yaml "$project/jobs/rings-gan.yaml"; do
    expect 0 "" "$lockstep" train "$job" train.steps=20 output.path="runs/$(basename "$job")" --progress none
    real=$(mebibytes 1) planned=$(mebibytes 2)
    awk "BEGIN {exit !($real > 10 && $planned >= $real && $planned < 1.25 * $real)}" || failed "$job: planned $planned, resident $real"
done

# What an evaluation computes besides the loss is planned too: the most probable words of a large vocabulary.
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "a%d b%d c%d\td%d e%d f%d\n", i, i, i, i, i, i }' > pairs.tsv
expect 0 "" "$lockstep" prepare pairs pairs.tsv -o pairs.h5 --validation 0.1
cat > pairs.yaml <<YAML
model: {kind: seq2seq, width: 32}
task: {kind: pairs}
data: {kind: pairs, path: pairs.h5}
train: {steps: 1, batch: 768, sequence: 8, evaluate_batches: 1, evaluate_every: 0}
output: {path: runs/pairs, save_every: 0}
YAML
expect 0 "" "$lockstep" train pairs.yaml --progress none
real=$(mebibytes 1) planned=$(mebibytes 2)
awk "BEGIN {exit !($real > 120 && $planned > 0.95 * $real && $planned < 1.05 * $real)}" || failed "pairs: planned $planned, resident $real"
echo "pairs: $real MiB resident, $planned planned"

finish
