#!/usr/bin/env bash
# Sequences in segments and over ranks as a user runs them: the same training, resumption on other numbers of both, evaluation, messages.
# usage: cli_sequence.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# values FILE NAME: one number a row
values() { sed -n "s/.*\"$2\": \([-0-9.e+]*\).*/\1/p" "$1"; }

# near A B ALLOWED WHAT: two files of numbers agree, relatively, and are not empty
near()
{
    paste "$1" "$2" | awk -v allowed="$3" 'NF != 2 { bad = 1 } { d = $1 - $2; d = d < 0 ? -d : d; if (!(d <= allowed * $2)) bad = 1; rows++ }
        END { exit bad || rows == 0 }' || failed "$4: $(paste "$1" "$2" | tr '\n' ';' | head -c 600)"
}

random_words 4000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: mamba, layers: 2, width: 16, context: 256}
data: {path: data.h5}
train: {steps: 12, batch: 2, sequence: 301, schedule: constant, warmup: 2, learning_rate: 3e-3, evaluate_every: 6, evaluate_batches: 2}
output: {path: runs/x, save_every: 6, keep: 2}
JOB

# the same losses, whole and cut up
expect 0 "" "$lockstep" train job.yaml --progress none output.path=runs/whole
expect 0 "" "$lockstep" train job.yaml --progress none output.path=runs/segments train.segment=64
expect 0 "" $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=runs/ranks train.sequence_ranks=2
expect 0 "" $mpirun -np 4 "$lockstep" train job.yaml --progress none output.path=runs/both train.sequence_ranks=2 train.segment=50 train.batch=2
for name in loss validation_loss; do
    values runs/whole/metrics.jsonl $name > whole.txt
    for run in segments ranks both; do
        values runs/$run/metrics.jsonl $name > this.txt
        near this.txt whole.txt 1e-5 "$run: $name"
    done
done

# stopped on two ranks that share sequences, gone on with alone, in segments
expect 0 "" $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=runs/resumed train.sequence_ranks=2 train.steps=6
expect 0 "" "$lockstep" train job.yaml --progress none output.path=runs/resumed train.segment=100
values runs/resumed/metrics.jsonl loss > this.txt
values runs/whole/metrics.jsonl loss > whole.txt
near this.txt whole.txt 1e-5 "resumed"

# evaluation on any number of ranks, cut as it likes
"$lockstep" eval runs/whole --json > whole.json 2> err.txt || failed "eval: $(cat err.txt)"
"$lockstep" eval runs/whole --json train.segment=33 > one.json 2> err.txt || failed "eval in segments: $(cat err.txt)"
$mpirun -np 3 "$lockstep" eval runs/whole --json train.sequence_ranks=4 > three.json 2> err.txt || failed "eval on 3 ranks: $(cat err.txt)"
values whole.json loss > whole.txt
for file in one three; do
    values $file.json loss > this.txt
    near this.txt whole.txt 1e-5 "eval: $file"
done

# bounded memory: activations of a segment, not of the sequence
for segment in 0 256; do
    "$lockstep" train job.yaml --dry-run train.sequence=2048 train.batch=1 train.segment=$segment > dry-$segment.txt 2> err.txt || failed "dry run: $(cat err.txt)"
done
grep -qF 'a sequence over 1 rank, in 8 segments of 256 tokens a rank' dry-256.txt || failed "dry run: $(cat dry-256.txt)"
grep -q ' sequence over ' dry-0.txt && failed "dry run of whole sequences: $(cat dry-0.txt)"
awk '/activations/ { value[FILENAME] = $3 == "MiB" ? 1024 * $2 : $3 == "KiB" ? $2 : 1048576 * $2 } END { exit !(value["dry-256.txt"] > 0 && 5 * value["dry-256.txt"] < value["dry-0.txt"]) }' \
    dry-256.txt dry-0.txt || failed "activations: $(grep -h activations dry-256.txt dry-0.txt | tr '\n' ' ')"

# sequences that a limit has no room for are cut by themselves: the same training
mebibytes() { sed -n "s/^ *$1 *\([0-9.]*\) MiB.*/\1/p" dry-0.txt; }
limit=$(awk -v all="$(mebibytes 'memory of a rank')" -v activations="$(mebibytes activations)" 'BEGIN { print int(1024 * (all - 0.7 * activations)) }')
small=(train.sequence=2048 train.batch=1 train.steps=4 train.evaluate_every=0)
expect 0 "" "$lockstep" train job.yaml --progress none output.path=runs/roomy "${small[@]}"
expect 0 "sequences are computed in " "$lockstep" train job.yaml --progress none output.path=runs/narrow "${small[@]}" train.memory="${limit}KiB"
# in how many depends on the products' work space, which differs from machine to machine
read -r segments segment < <(sed -n 's/.*computed in \([0-9]*\) segments; train.segment=\([0-9]*\) makes it the same elsewhere.*/\1 \2/p' err.txt)
[ "${segments:-0}" -ge 2 ] && [ $((segments * segment)) -ge 2048 ] && [ $(((segments - 1) * segment)) -lt 2048 ] || failed "cut by the plan: $(cat err.txt)"
values runs/roomy/metrics.jsonl loss > whole.txt
values runs/narrow/metrics.jsonl loss > this.txt
near this.txt whole.txt 1e-5 "cut by the plan"

# what cannot be
sed 's/kind: mamba/kind: gpt, heads: 2/' job.yaml > gpt.yaml
expect 2 "needs whole sequences, so this model cannot be trained on parts of them: set train.segment to 0" "$lockstep" train gpt.yaml train.sequence=200 train.segment=64
expect 2 "needs whole sequences" $mpirun -np 2 "$lockstep" train gpt.yaml train.sequence=200 train.sequence_ranks=2
expect 2 "1 rank cannot be put into groups of 2: start 2, 4, ... ranks" "$lockstep" train job.yaml train.sequence_ranks=2
expect 2 "train.batch=3 cannot be divided among 2 groups of 2 of 4 ranks: start 2 or 6 ranks" $mpirun -np 4 "$lockstep" train job.yaml train.sequence_ranks=2 train.batch=3
expect 2 "fewer than the 3 that the next one's convolution looks back" "$lockstep" train job.yaml train.segment=2
expect 2 "train.sequence_ranks: 0 is out of range" "$lockstep" train job.yaml train.sequence_ranks=0
[ ! -e runs/x ] || failed "a refused run left a folder"

finish
