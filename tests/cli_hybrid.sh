#!/usr/bin/env bash
# Blocks of several kinds in one model, as a user trains it: stopped and gone on with to the bit, over ranks, generation, what each kind
# costs, messages; and segments, which a model without attention takes.
# usage: cli_hybrid.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 3000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: hybrid, layers: 2ma247, width: 16, context: 48, mamba2_head_dim: 8, mamba2_state: 8, attention_heads: 2, rwkv7_head: 8, rwkv7_decay_rank: 4, rwkv7_rate_rank: 4, rwkv7_gate_rank: 4}
data: {path: data.h5}
train: {steps: 30, batch: 4, sequence: 32, schedule: constant, warmup: 2, learning_rate: 1e-2, evaluate_every: 15}
output: {path: runs/x, save_every: 15, keep: 2}
JOB
values() { sed -n "s/.*\"$2\": \([-0-9.e+]*\).*/\1/p" "$1"; }

# ---- training: it learns, and goes on to the bit
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/whole
values runs/whole/metrics.jsonl loss | awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(last < 0.8 * first) }' ||
    failed "the hybrid does not learn: $(values runs/whole/metrics.jsonl loss | tr '\n' ' ')"
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/resumed train.steps=15
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/resumed
says 0 'all 255 tensors are equal' diff runs/whole runs/resumed
expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=runs/ranks
paste <(values runs/whole/metrics.jsonl loss) <(values runs/ranks/metrics.jsonl loss) |
    awk '{ d = $1 - $2; d = d < 0 ? -d : d; if (!(d <= 1e-4 * $1)) bad = 1 } END { exit bad || NR < 30 }' || failed "two ranks train otherwise"

# ---- generation, past the context too: attention limits it
expect 0 '' "$lockstep" generate runs/whole --prompt 'the cat ' --tokens 80 --seed 1
[ "$(wc -c < out.txt)" -gt 80 ] || failed "generate: $(cat out.txt)"

# ---- what each kind of block costs
expect 0 '' "$lockstep" bench job.yaml --synthetic --steps 2 --json
for kind in mamba mamba2 attention rwkv4 rwkv7; do
    grep -q "\"name\": \"layer.$kind\"" out.txt || failed "bench --json: no place layer.$kind"
done
expect 0 '' "$lockstep" bench job.yaml --synthetic --steps 2
grep -q '^the graph again, by place' out.txt && grep -qE '^layer.mamba2 +[0-9]+ +[0-9.]+ +[0-9.]+ ' out.txt || failed "bench: $(cat out.txt)"

# ---- messages
says 2 "model.layers: 'x' is no kind of block; there are m (mamba), 2 (mamba2), a (attention), 4 (rwkv4), 7 (rwkv7)" train job.yaml model.layers=mx
says 2 'model.layers: 2 would be one block' train job.yaml model.layers=2
says 2 'model.layers: a pattern of 0 blocks' train job.yaml 'model.layers=""'
says 2 'model.mamba2_head_dim 7' train job.yaml model.mamba2_head_dim=7
says 2 'model.attention_heads 3' train job.yaml model.attention_heads=3
says 2 'model.width 16 is not a multiple of model.rwkv7_head 5' train job.yaml model.rwkv7_head=5
says 2 'longer than model.context 48' train job.yaml train.sequence=64
says 2 'needs whole sequences' train job.yaml train.segment=8
expect 0 '' "$lockstep" train job.yaml --progress none output.path=runs/long model.layers=2m4747 train.sequence=64 train.segment=16 train.steps=2

finish
