#!/usr/bin/env bash
# Too little memory to read a file says nothing of the file: status 7, never damage.
# usage: cli_memory_short.sh PROGRAM
. "$(dirname "$0")/cli.inc"

for i in $(seq 400); do echo "line $i of a text that says little, $((i * i % 97)) times over"; done > text.txt
prepare text.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<YAML
model: {kind: gpt, layers: 6, width: 256, heads: 4, context: 256}
data: {path: text.h5}
train: {steps: 1, batch: 1, sequence: 32, evaluate_batches: 1, evaluate_every: 0}
output: {path: run, save_every: 0}
YAML
expect 0 "" "$lockstep" train job.yaml --progress none

for command in 'inspect run' 'diff run run' 'export run -o exported' 'generate run --ids 1' \
    'predict run --ids 1 -o logits.h5' 'import exported -o imported'; do
    codes=""
    for kibibytes in $(seq 20000 4000 400000); do
        rm -rf imported
        code=0
        # shellcheck disable=SC2086
        (ulimit -v "$kibibytes" && OMP_NUM_THREADS=1 exec "$lockstep" $command > out.txt 2> err.txt) || code=$?
        codes+="$code "
        [ $code = 0 ] && break
        [ $code = 7 ] || [ $code = 127 ] || failed "$command in $kibibytes KiB: exit $code: $(grep error err.txt)"
        grep -qi damaged out.txt err.txt && failed "$command in $kibibytes KiB: called damaged: $(cat out.txt err.txt)"
    done
    [[ $codes == *" 7 "* ]] && [ $code = 0 ] || failed "$command under limits of memory: $codes"
done

finish
