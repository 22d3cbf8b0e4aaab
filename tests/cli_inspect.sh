#!/usr/bin/env bash
# inspect and diff on runs, checkpoints and data sets, whole and damaged: results, messages and exit status.
# usage: cli_inspect.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# flip FILE OFFSET: turns one bit over
flip()
{
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

printf 'All that is gold does not glitter, not all those who wander are lost.\n%.0s' {1..40} > text.txt
prepare text.h5
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 16}
data: {path: text.h5}
train: {steps: 4, batch: 2, warmup: 1, evaluate_every: 2, evaluate_batches: 1}
output: {path: one, save_every: 2}
JOB
train() { "$lockstep" train job.yaml "$@" > err.txt 2>&1 || failed "train $*: $(cat err.txt)"; }
train
train output.path=again
train output.path=other train.seed=2
train output.path=longer train.steps=6 # the schedule differs from the second step on

# ---- inspect
says 0 'step-00000004.h5: whole' inspect one
grep -q '^status  *done' out.txt || failed "inspect says nothing of the status: $(cat out.txt)"
says 0 '"whole": true' inspect one --json
says 0 'every checksum is right' inspect one/checkpoints/step-00000004.h5
says 0 'optimizer/v/token_embedding' inspect one/checkpoints/step-00000004.h5 --tensors
says 0 'learning_rate:' inspect one/checkpoints/step-00000004.h5 --config
says 0 '"parameters": ' inspect one/checkpoints/step-00000004.h5 --json
says 0 'optimizer/v/token_embedding' inspect one --tensors
grep -q 'step-00000002.h5: whole' out.txt || failed "inspect RUN --tensors says nothing of the run: $(cat out.txt)"
says 0 'learning_rate:' inspect one --config
says 0 '"name": "optimizer/v/token_embedding"' inspect one --tensors --json
says 0 'train tokens' inspect text.h5
says 0 '"vocabulary": 256' inspect text.h5 --json
says 3 'No such file' inspect missing.h5
says 4 'No such file' inspect one/checkpoints/step-00000099.h5
says 3 "text.txt: a text, and not a file of this program; 'lockstep prepare text' makes a data set of it" inspect text.txt
says 3 "job.yaml: a job file: name the data set, its data.path, or the run's folder" inspect job.yaml
says 4 "job.yaml: a job file: name the run's folder, its output.path" generate job.yaml --prompt hi
says 4 "job.yaml: a job file: name the run's folder, its output.path" eval job.yaml
says 4 'text.txt: a text, and not a file of this program' generate text.txt --prompt hi
printf '\x89PNG\r\n\x1a\n' > picture
says 3 'picture: not a file of this program' inspect picture
! grep -q damaged err.txt || failed "a picture is damaged: $(cat err.txt)"
printf 'LOCKSTEQ text 1\n' > near
says 3 'near: not a file of this program, or its first bytes are damaged' inspect near
mkdir nothing
says 4 'is no run folder' inspect nothing
size=$(stat -c %s one/checkpoints/step-00000004.h5)
for offset in 3 12 40 600 $((size / 2)) $((size - 1)); do # magic line, kind, digest, HDF5's header, arrays, end
    rm -rf damaged && cp -r one damaged
    flip damaged/checkpoints/step-00000004.h5 "$offset"
    says 4 'step-00000004.h5' inspect damaged/checkpoints/step-00000004.h5
    says 4 '1 of 2 checkpoints is damaged' inspect damaged
    grep -q 'DAMAGED' out.txt || failed "bit at $offset: $(cat out.txt)"
done
truncate -s $((size / 3)) damaged/checkpoints/step-00000004.h5
says 4 'step-00000004.h5' inspect damaged/checkpoints/step-00000004.h5
size=$(stat -c %s text.h5)
for offset in 600 $((size / 2)) $((size - 1)); do
    cp text.h5 damaged.h5
    flip damaged.h5 "$offset"
    says 3 'damaged.h5' inspect damaged.h5
done
truncate -s 700 damaged.h5
says 3 'damaged.h5' inspect damaged.h5

# ---- diff
says 0 'equal' diff one again
grep -q 'differ' out.txt && failed "equal runs differ: $(cat out.txt)"
says 1 'loss             differs first at step 1' diff one other
grep -q 'error' out.txt && failed "a difference was told as an error: $(cat out.txt)"
says 1 'differs first at step' diff one longer
says 1 'parameters/token_embedding' diff one/checkpoints/step-00000002.h5 one/checkpoints/step-00000004.h5 --all
says 0 'all 48 tensors are equal' diff one/checkpoints/step-00000002.h5 again/checkpoints/step-00000002.h5
says 0 'within the tolerance' diff one/checkpoints/step-00000002.h5 one/checkpoints/step-00000004.h5 --tolerance 1
says 1 '"equal": false' diff one other --json
says 0 '"equal": true' diff one again --json
says 2 'too few arguments' diff one
says 2 'name two run folders or two checkpoints' diff one one/checkpoints/step-00000002.h5
says 4 'No such file' diff one missing
says 4 'nothing can be compared' diff one nothing
train output.path=seldom train.evaluate_every=4
says 0 'validation_loss  equal at the 1 common step; only the first run has it at 1 other' diff one seldom
grep -q 'nan' out.txt && failed "a step that one run has not evaluated is compared: $(cat out.txt)"
says 0 'only the second run has it at 1 other' diff seldom one
says 0 '"steps_of_one_run": [' diff one seldom --json
sed -i '2s/"loss": [0-9.]*, //' seldom/metrics.jsonl # not finite
says 1 'loss             differs first at step 2: ' diff one seldom
sed -i '3s/"loss": [0-9.]*/"loss": 5.5/' again/metrics.jsonl
says 1 'loss             differs first at step 3' diff one again
says 4 'damaged' diff one/checkpoints/step-00000004.h5 damaged/checkpoints/step-00000004.h5

finish
