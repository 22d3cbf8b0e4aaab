#!/usr/bin/env bash
# Tasks made by rule, as a user trains, evaluates and predicts them: without files, at lengths that were not trained on.
# usage: cli_rules.sh PROGRAM
. "$(dirname "$0")/cli.inc"

cat > job.yaml <<'JOB'
model: {kind: mingru, layers: 1, width: 16}
task: {kind: tagging}
data: {kind: generated, rule: selective_copy, length: 20, items: 2, symbols: 4, held_out: 96}
train: {steps: 60, batch: 32, warmup: 0, learning_rate: 1e-2, evaluate_every: 30}
output: {path: run, save_every: 30}
JOB
expect 0 '' "$lockstep" train job.yaml --progress none
grep -q '"validation_exact_match"' run/metrics.jsonl || failed "no exact_match in metrics.jsonl: $(tail -1 run/metrics.jsonl)"

# number FILE NAME: of one JSON object
number() { sed -nE "s/.*\"$2\": ([-0-9.eE+]+).*/\1/p" "$1"; }
says 0 '"exact_match"' eval run --json
one=$(number out.txt loss) exact=$(number out.txt exact_match)
[ "$(number out.txt tags)" = 192 ] || failed "96 samples of two questions: $(cat out.txt)"
[ "$exact" = "$(number out.txt accuracy)" ] || failed "exact_match is the accuracy of the positions asked for: $(cat out.txt)"
awk -v x="$one" 'BEGIN {exit !(x < 1.386)}' || failed "no better than chance: $one"

# stopped and gone on with, and on two ranks: the same
expect 0 '' "$lockstep" train job.yaml output.path=part train.steps=30 train.schedule=constant --progress none
expect 0 '' "$lockstep" train job.yaml output.path=part train.schedule=constant --progress none
expect 0 '' "$lockstep" train job.yaml output.path=straight train.schedule=constant --progress none
says 0 'equal' diff part straight
expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml output.path=ranks --progress none
says 0 '"loss"' eval ranks --json
awk -v a="$one" -v b="$(number out.txt loss)" 'BEGIN {exit !(a - b < 1e-3 && b - a < 1e-3)}' || failed "on two ranks: $(cat out.txt), on one $one"

# another length, whole and in segments
says 0 '"exact_match"' eval run data.length=500 --json
whole=$(number out.txt loss)
says 0 '"exact_match"' eval run data.length=500 train.segment=64 --json
awk -v a="$whole" -v b="$(number out.txt loss)" 'BEGIN {exit !(a - b < 1e-4 && b - a < 1e-4)}' || failed "in segments $(cat out.txt), whole $whole"

# what the model says, and what is not there
says 0 '3 samples' predict run -o said.tsv --text --samples 3
[ "$(wc -l < said.tsv)" = 7 ] || failed "three samples of two questions and a line above them: $(cat said.tsv)"
says 0 '96 samples' predict run -o said.h5 --samples 1000
says 2 'samples of data.kind generated have 22 steps' train job.yaml train.sequence=64 output.path=none
says 2 'data.items: 30 symbols do not fit' train job.yaml data.items=30 output.path=none
says 2 'data.symbols is 9, but the model has learnt with 4' eval run data.symbols=9
says 2 'data.symbols is 3, but the model has learnt with 4' eval run data.symbols=3
says 2 'data.rule is induction, but the model has learnt by the rule selective_copy' eval run data.rule=induction data.symbols=4
says 0 'samples made as they are needed, none twice; 96 to validate on' train job.yaml --dry-run
says 0 '"samples": null' train job.yaml --dry-run --json
grep -q '"epochs": null' out.txt || failed "epochs of samples without end: $(cat out.txt)"
expect 2 'no state is carried' "$lockstep" train job.yaml train.carry=true output.path=none
says 0 'exact' inspect run

# numbers, by the same model
expect 0 '' "$lockstep" train job.yaml output.path=sum data.rule=adding task.kind=regression train.steps=5 train.evaluate_every=0 --progress none
says 0 '"rmse"' eval sum data.length=50 --json
expect 0 '' "$lockstep" train job.yaml output.path=odd data.rule=parity task.kind=classification train.steps=5 train.evaluate_every=0 --progress none
says 0 '"accuracy"' eval odd data.length=50 --json
finish
