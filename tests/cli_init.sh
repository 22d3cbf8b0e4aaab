#!/usr/bin/env bash
# train.init: a training that begins with the parameters of a run, a checkpoint or a folder, with another task, other data and settings
# of its own; what is refused; and that going on with it does not read the other run again.
# usage: cli_init.sh PROGRAM
. "$(dirname "$0")/cli.inc"

for i in $(seq 60); do
    words=(the film was long and the seats were hard)
    [ $((i % 2)) = 0 ] && label=good word=lovely || label=bad word=dreadful
    words[$((i % 8))]=$word
    printf '%s\t%s\n' $label "${words[*]}"
done > lines.tsv
cut -f 2 lines.tsv > text.txt
expect 0 '' "$lockstep" prepare lines lines.tsv -o lines.h5 --validation 10
expect 0 '' "$lockstep" prepare text text.txt -o text.h5 --like lines.h5 --validation 0.2
cat > first.yaml <<'JOB'
model: {kind: bert, layers: 2, heads: 2, width: 8, context: 16, dropout: 0.1}
task: {kind: masked_language}
data: {path: text.h5}
train: {steps: 6, batch: 8, warmup: 0, learning_rate: 1e-2, seed: 5}
output: {path: runs/first, save_every: 3}
JOB
cat > second.yaml <<'JOB'
model: {pool: first, dropout: 0}
task: {kind: classification}
data: {kind: lines, path: lines.h5}
train: {init: runs/first, steps: 4, batch: 10, warmup: 0, learning_rate: 1e-3, seed: 7, schedule: constant, evaluate_every: 2}
output: {path: runs/second, save_every: 2}
JOB
expect 0 '' "$lockstep" train first.yaml --progress none

# ---- another task: the model's settings are those of the first run, what is new and what is left is named
expect 0 'train.init: 28 parameters of runs/first/checkpoints/' "$lockstep" train second.yaml --progress none
for text in 'model.dropout: 0.1 there, 0 here' 'model.pool: none there, first here' 'pooler.weight (8, 8)' 'head.weight (2, 8)' \
    'head.bias (2)' 'head.transform.weight (8, 8)'; do
    grep -qF "$text" err.txt || failed "no '$text' in $(cat err.txt)"
done
grep -q '^  layers: 2' runs/second/config.yaml && grep -q '^  width: 8' runs/second/config.yaml || failed "the settings: $(cat runs/second/config.yaml)"
[ "$(head -1 runs/second/metrics.jsonl | sed 's/,.*//')" = '{"step": 1' ] || failed "steps go on: $(head -1 runs/second/metrics.jsonl)"

# The first loss is that of the taken parameters: a step with the rate of zero leaves them, and they go out as they came in.
expect 0 '' "$lockstep" train second.yaml output.path=runs/still train.learning_rate=1e-30 train.weight_decay=0 train.steps=1 --progress none
expect 0 '' "$lockstep" export runs/first/checkpoints/step-00000006.h5 -o first --native
expect 0 '' "$lockstep" export runs/still -o still --native
expect 2 'runs/first: is a run; export to a folder of its own' "$lockstep" export runs/still -o runs/first --native
grep -q 'pooler.weight' still/model.safetensors || failed "no pooler in the second run"
values() # FILE NAME: the bytes of a tensor
{
    local header from to
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    read -r from to < <(head -c $((header + 8)) "$1" | tail -c "$header" | grep -oE "\"$2\":\{[^}]*" | sed -E 's/.*\[([0-9]+),([0-9]+)\].*/\1 \2/')
    tail -c +$((header + 9 + from)) "$1" | head -c $((to - from)) | od -An -tx1
}
for name in token_embedding layer.1.mlp.out.weight norm.scale; do
    [ -n "$(values first/model.safetensors $name)" ] && [ "$(values first/model.safetensors $name)" = "$(values still/model.safetensors $name)" ] ||
        failed "$name is not taken over"
done

# ---- from a checkpoint, a folder, and over ranks: the same training
says 0 'equal' diff runs/second runs/second
expect 0 '' "$lockstep" train second.yaml output.path=runs/file train.init=runs/first/checkpoints/step-00000006.h5 --progress none
says 0 'equal' diff runs/second runs/file
expect 0 '' "$lockstep" train second.yaml output.path=runs/folder train.init=first --progress none
says 0 'equal' diff runs/second runs/folder
expect 0 'train.init: 28 parameters' $mpirun -np 2 "$lockstep" train second.yaml output.path=runs/ranks --progress none
loss() { sed -E 's/.*"loss": ([-0-9.e]*).*/\1/' "$1/metrics.jsonl" | tail -1; }
awk "BEGIN {d = $(loss runs/second) - $(loss runs/ranks); exit !(d < 1e-5 && d > -1e-5)}" || failed "two ranks: $(loss runs/second), $(loss runs/ranks)"

# ---- going on never reads it again
expect 0 '' "$lockstep" train second.yaml output.path=runs/parts train.steps=2 --progress none
mv runs/first runs/away
expect 0 'going on from runs/parts/checkpoints/step-00000002.h5' "$lockstep" train second.yaml output.path=runs/parts --progress none
grep -q 'train.init:' err.txt && failed "the other run is looked at again: $(cat err.txt)"
says 0 'equal' diff runs/second runs/parts
expect 0 '' "$lockstep" eval runs/parts
expect 0 '' $mpirun -np 2 "$lockstep" train second.yaml output.path=runs/parts train.steps=6 --progress none
expect 2 'train.init: runs/first: there is no such run' "$lockstep" train second.yaml output.path=runs/none
mv runs/away runs/first

# ---- a second stage of the same task takes all, with counters of its own
expect 0 'train.init: 32 parameters' "$lockstep" train second.yaml output.path=runs/third train.init=runs/second train.steps=1 --progress none
says 0 '' train second.yaml output.path=runs/dry --dry-run
says 0 '' bench second.yaml --steps 1 --warmup 0

# ---- what does not fit
expect 2 'model.kind: rnn, but train.init runs/first holds a model of kind bert' "$lockstep" train second.yaml output.path=runs/none model.kind=rnn model.pool=
expect 2 'token_embedding has shape (14, 8) there and (14, 12) here' "$lockstep" train second.yaml output.path=runs/none model.width=12
expect 2 'position_embedding has shape (16, 8) there and (32, 8) here' "$lockstep" train second.yaml output.path=runs/none model.context=32
# partial: what has another shape is drawn, what was taken is listed; another kind of model is allowed, but nothing fits
expect 0 'of other shapes, drawn from train.seed' "$lockstep" train second.yaml output.path=runs/partial train.init_match=partial model.context=32 train.steps=1 --progress none
for text in 'train.init: 27 parameters of runs/first/checkpoints/' '  token_embedding (14, 8)' 'position_embedding has shape (16, 8) there and (32, 8) here'; do
    grep -qF "$text" err.txt || failed "no '$text' in $(cat err.txt)"
done
sed 's/pool: first, dropout: 0/kind: rnn, layers: 1, width: 5/' second.yaml > other.yaml
expect 2 "none of this model's parameters" "$lockstep" train other.yaml output.path=runs/none train.init_match=partial
expect 2 'is output.path itself: to go on with that run leave train.init out' "$lockstep" train second.yaml output.path=runs/first
expect 2 'is output.path itself' "$lockstep" train second.yaml train.init=runs/second/checkpoints/step-00000004.h5
expect 2 'model.layers: 2 in the checkpoint, 3 now' "$lockstep" train second.yaml model.layers=3 train.steps=9
mkdir empty
expect 4 'empty: has no checkpoint' "$lockstep" train second.yaml output.path=runs/none train.init=empty
head -c 3000 runs/first/checkpoints/step-00000006.h5 > cut.h5
expect 4 'cut.h5' "$lockstep" train second.yaml output.path=runs/none train.init=cut.h5
sed 's/lovely/charming/' lines.tsv > other.tsv
expect 0 '' "$lockstep" prepare lines other.tsv -o other.h5 --validation 10
expect 3 'tokenizer' "$lockstep" train second.yaml output.path=runs/none data.path=other.h5
expect 2 'did you mean' "$lockstep" train second.yaml output.path=runs/none model.pol=first
sed 's/pool/pol/' second.yaml > wrong.yaml
expect 2 'line 1: model.pol: unknown' "$lockstep" train wrong.yaml output.path=runs/none
[ ! -e runs/none/checkpoints ] || failed "a training that was refused left something"
finish
