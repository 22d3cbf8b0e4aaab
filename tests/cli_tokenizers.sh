#!/usr/bin/env bash
# A model and data of another tokenizer are never mixed up, and ids that the tokenizer lacks are never drawn.
# usage: cli_tokenizers.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 3000 > text.txt
prepare characters.h5 --tokenizer characters --validation 0.1
prepare bytes.h5 --tokenizer bytes --validation 0.1
tr 'a-y' 'b-z' < text.txt > other.txt # as many characters, others
"$lockstep" prepare text other.txt -o others.h5 --tokenizer characters --validation 0.1 > /dev/null 2>&1 || failed 'prepare'
"$lockstep" prepare text text.txt -o pairs.h5 --tokenizer gpt2 --vocabulary "$fixtures/small_bpe" --validation 0.1 > /dev/null 2>&1 ||
    failed 'prepare with byte pairs'
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16}
data: {path: characters.h5}
train: {steps: 40, batch: 4, sequence: 16, schedule: constant, evaluate_batches: 2, learning_rate: 1e-3}
output: {path: x}
JOB
expect 0 '' "$lockstep" train job.yaml
for data in bytes others pairs; do
    expect 3 "$data.h5 has" "$lockstep" eval x data.path=$data.h5
    expect 3 "characters.h5 has another tokenizer" "$lockstep" eval x data.path=$data.h5 data.validation_path=characters.h5
    expect 3 'has another tokenizer' "$lockstep" predict x --input $data.h5 -o x.h5
done
expect 3 'others.h5 has another tokenizer (characters' "$lockstep" eval x data.path=others.h5
grep -q 'digest [0-9a-f]*) than x/checkpoints/step-00000040.h5 (characters' err.txt || failed "both are not named: $(cat err.txt)"
expect 3 'another tokenizer' $mpirun -np 2 "$lockstep" eval x data.path=others.h5
[ "$(grep -c '^lockstep: error: ' err.txt)" = 1 ] || failed "not one rank alone speaks: $(cat err.txt)"
# the same tokenizer in another data set
head -c 4000 text.txt > short.txt
"$lockstep" prepare text short.txt -o short.h5 --like characters.h5 --validation 0.5 > /dev/null 2>&1 || failed 'prepare --like'
expect 0 '' "$lockstep" eval x data.path=short.h5

# ---- an imported model that is trained on
expect 0 '' "$lockstep" train job.yaml data.path=pairs.h5 output.path=paired train.steps=2 model.vocabulary=1024
expect 0 '' "$lockstep" export paired -o exported
expect 0 '' "$lockstep" import exported -o imported
tune="$lockstep train imported/config.yaml train.batch=4 train.sequence=16 train.steps=2 train.evaluate_batches=1"
before=$(find imported -type f -exec cksum {} +)
expect 3 'has another tokenizer (characters' $tune data.path=characters.h5
expect 3 'has another tokenizer (bytes, 256 tokens' $tune data.path=bytes.h5
expect 3 'has another tokenizer' $mpirun -np 2 $tune data.path=bytes.h5
[ "$before" = "$(find imported -type f -exec cksum {} +)" ] || failed 'a refused training changed the imported run'
expect 3 'has another tokenizer' "$lockstep" eval imported data.path=characters.h5 train.sequence=16
expect 0 '' $tune data.path=pairs.h5

# ---- a vocabulary that is padded: what the tokenizer lacks is never drawn, however likely
expect 0 '' "$lockstep" train job.yaml output.path=padded train.steps=3 model.vocabulary=512
vocabulary=$("$lockstep" inspect characters.h5 --json | grep -o '"vocabulary": [0-9]*' | tr -dc 0-9)
for how in '--temperature 1' '--temperature 0' '--temperature 100 --top-k 300' '--temperature 50 --top-p 0.999' '--precision int8' \
    '--precision bfloat16' '--batch 3'; do
    expect 0 '' "$lockstep" generate padded --prompt the --tokens 150 --seed 3 $how
done
"$lockstep" generate padded --ids 1,2 --tokens 400 --temperature 20 2> err.txt | tr , '\n' |
    awk -v most="$vocabulary" '$1 >= most { bad++ } END { exit bad || NR < 100 }' || failed "ids past the tokenizer's were drawn"
expect 0 '' "$lockstep" eval padded

# ---- only where it is asked for are they left out of the loss's normalisation: then padding changes no loss
loss() { "$lockstep" eval "$@" --json | grep -o '"loss": [0-9.]*' | tr -dc 0-9.; }
for kind in gpt mamba; do
    model="model.kind=$kind"
    [ $kind = gpt ] || sed -e 's/kind: gpt/kind: mamba/; s/heads: 2, //' job.yaml > mamba.yaml
    job=$([ $kind = gpt ] && echo job.yaml || echo mamba.yaml)
    expect 0 '' "$lockstep" train $job $model output.path=$kind-plain train.steps=5
    expect 0 '' "$lockstep" train $job $model output.path=$kind-padded train.steps=5 model.vocabulary=512
    expect 0 '' "$lockstep" train $job $model output.path=$kind-masked train.steps=5 model.vocabulary=512 model.loss_vocabulary="$vocabulary"
    plain=$(loss $kind-plain) padded=$(loss $kind-padded) masked=$(loss $kind-masked)
    awk "BEGIN { exit !($padded > 1.2 * $plain && $masked < 1.05 * $plain && $masked > 0.95 * $plain) }" ||
        failed "$kind: losses $plain without padding, $padded with it, $masked masked"
done
expect 2 'model.loss_vocabulary' "$lockstep" train job.yaml output.path=y model.vocabulary=512 model.loss_vocabulary=3
expect 2 'model.loss_vocabulary' "$lockstep" train job.yaml output.path=y model.vocabulary=64 model.loss_vocabulary=65
expect 2 'model.loss_vocabulary: 0 in the checkpoint' "$lockstep" train job.yaml output.path=padded model.vocabulary=512 \
    model.loss_vocabulary="$vocabulary"

finish
