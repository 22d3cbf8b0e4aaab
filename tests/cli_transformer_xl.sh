#!/usr/bin/env bash
# Transformer-XL as a user trains it: the memory goes from step to step, over a kill, over ranks; evaluation and generation with more of it; messages.
# And each kind of positions in the command line's words.
# usage: cli_transformer_xl.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: transformer_xl, layers: 2, width: 16, heads: 2, context: 16, memory: 24, dropout: 0.1}
data: {path: data.h5}
train: {steps: 60, batch: 4, sequence: 16, carry: true, schedule: constant, warmup: 2, learning_rate: 1e-2, evaluate_every: 30, evaluate_batches: 0}
output: {path: runs/x, save_every: 10, keep: 2}
JOB
values() { sed -n "s/.*\"$2\": \([-0-9.e+]*\).*/\1/p" "$1"; }

# ---- training: it learns, and goes on to the bit after a stop, and after a kill
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/whole
values runs/whole/metrics.jsonl loss | awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(last < 0.9 * first) }' ||
    failed "it does not learn: $(values runs/whole/metrics.jsonl loss | tr '\n' ' ')"
"$lockstep" train job.yaml --progress none output.path=runs/killed > /dev/null 2> err.txt &
pid=$!
while kill -0 $pid 2> /dev/null && [ "$(grep -c . runs/killed/metrics.jsonl 2> /dev/null || true)" -lt 25 ] 2> /dev/null; do sleep 0.02; done
kill -KILL $pid 2> /dev/null
wait $pid 2> /dev/null
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/killed
says 0 'tensors are equal' diff runs/whole runs/killed

# ---- four ranks, and two of them with two rows each
for ranks in 2 4; do
    expect 0 '' $mpirun -np $ranks "$lockstep" train job.yaml --progress none output.path=runs/ranks$ranks
    paste <(values runs/whole/metrics.jsonl loss) <(values runs/ranks$ranks/metrics.jsonl loss) |
        awk '{ d = $1 - $2; d = d < 0 ? -d : d; if (!(d <= 1e-4 * $1)) bad = 1 } END { exit bad || NR < 60 }' ||
        failed "$ranks ranks train otherwise"
done

# ---- evaluation: a memory of all that was before says what the whole sequence says, on any number of ranks; none says less
loss() { "$lockstep" eval runs/whole --json train.carry=false "$@" 2> err.txt | sed -n 's/.*"loss": \([0-9.]*\).*/\1/p'; }
whole=$(loss train.sequence=256) long=$(loss train.sequence=256 train.segment=16 model.memory=256)
short=$(loss train.sequence=256 train.segment=16)
awk "BEGIN { d = $whole - $long; exit !(d * d < 1e-8 * $whole * $whole && $short != $long) }" ||
    failed "eval: whole $whole, with a memory of all $long, of 24 $short: $(cat err.txt)"
expect 0 '' $mpirun -np 2 "$lockstep" eval runs/whole train.carry=false train.sequence=256 train.segment=16 model.memory=256

# ---- validation while training and eval go on from window to window alike, on any number of ranks
trained=$(values runs/whole/metrics.jsonl validation_loss | tail -n 1)
for ranks in 1 2; do
    expect 0 '' $mpirun -np $ranks "$lockstep" eval runs/whole --json
    carried=$(sed -n 's/.*"loss": \([0-9.]*\).*/\1/p' out.txt)
    awk "BEGIN { d = $carried - $trained; exit !(d * d < 1e-12) }" || failed "eval of $ranks ranks: $carried, in training $trained"
done
[ "$(loss)" != "$carried" ] || failed "windows alone say $carried too"

# ---- generation beyond memory and context
expect 0 '' "$lockstep" generate runs/whole --prompt 'the cat ' --tokens 120 --seed 1
[ "$(wc -c < out.txt)" -gt 120 ] || failed "generate: $(cat out.txt)"
says 0 'the' generate runs/whole --prompt 'the cat ' --tokens 20 --seed 1 model.memory=60

# ---- messages
says 2 'model.width 15 is odd' train job.yaml model.width=15 model.heads=3
expect 2 'set train.sequence_ranks to 1' $mpirun -np 2 "$lockstep" train job.yaml train.carry=false train.sequence_ranks=2 output.path=none
says 2 'leave train.carry out' train job.yaml model.memory=0 output.path=none

# ---- positions: the same setting in all models, and longer texts than in training
cat > gpt.yaml <<'JOB'
model: {kind: gpt, layers: 1, width: 16, heads: 2, context: 16, max_distance: 5}
data: {path: data.h5}
train: {steps: 2, batch: 2, sequence: 16, warmup: 0}
output: {path: runs/gpt}
JOB
for kind in sinusoidal nezha xl rotary alibi; do
    expect 0 '' "$lockstep" train gpt.yaml --progress none model.position=$kind output.path=runs/$kind
    expect 0 '' "$lockstep" eval runs/$kind train.sequence=64 --batches 2
    expect 0 '' "$lockstep" generate runs/$kind --prompt 'the cat ' --tokens 30 --seed 1
    expect 0 "" "$lockstep" generate runs/$kind --prompt "the cat " --tokens 30 --seed 1 model.context=64
done
expect 0 '' "$lockstep" train gpt.yaml --progress none
says 2 'a sequence of 64 tokens is longer than model.context 16, for which model.position learned has vectors' eval runs/gpt train.sequence=64
says 2 "'alibi' is none of learned|sinusoidal|none" train gpt.yaml model.kind=longformer model.position=alibi
finish
