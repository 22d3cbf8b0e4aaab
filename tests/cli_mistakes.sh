#!/usr/bin/env bash
# Mistakes in jobs and folders that were passed over: settings that change nothing, patterns, weights that are not finite.
# usage: cli_mistakes.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 900 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 8}
data: {path: data.h5}
train:
  steps: 2
  batch: 2
  warmup: 1
  evaluate_every: 0
output: {path: run}
JOB
dry() { "$lockstep" train job.yaml --dry-run "$@"; }

# ---- settings of another kind are refused by name, with the kinds that have them and the nearest here
expect 2 'model.state: model gpt has no such setting (those that have: mamba' dry model.state=8
expect 2 'train.epsilon_start: procedure supervised has no such setting (those that have: q_learning)' dry train.epsilon_start=0.5
expect 2 'data.rule: data text has no such setting (those that have: generated)' dry data.rule=copy
expect 2 'task.label_smoothing: task language has no such setting (those that have: ' dry task.label_smoothing=0.1
expect 2 'model.widht: unknown; did you mean' dry model.widht=8

# ---- "no value" takes out what the file says: a job of one kind runs as another by overriding; what nobody said is still refused
expect 2 'line 1: model.heads: model mamba has no such setting (those that have: gpt' dry model.kind=mamba
grep -qF 'model.heads= on the command line leaves it out' err.txt || failed "no cure: $(cat err.txt)"
for none in '' null '~'; do
    expect 0 '' dry model.kind=mamba "model.heads=$none" train.steps=
    grep -q '^ *model *mamba' out.txt err.txt || grep -q mamba out.txt || failed "no mamba: $(cat out.txt)"
done
dry --explain train.steps= model.kind=mamba model.heads= > out.txt 2> err.txt || failed "$(cat err.txt)"
grep -qE '^train\.steps +1000 +default' out.txt || failed "train.steps is not the default: $(grep steps out.txt)"
expect 2 'command line: model.hedas: unknown; did you mean' dry model.hedas=
expect 0 '' dry train.steps= train.steps=3

# ---- settings that change nothing are told, with their line, and only where the job gives them another value
sed -e 's/^  warmup: 1/&\n  momentum: 0.5\n  drop_every: 7\n  beta1: 0.8\n  epsilon: 1e-8\n  sample_tokens: 3/' job.yaml > useless.yaml
expect 0 'useless.yaml line 7: train.momentum changes nothing: train.optimizer adamw does not take it (sgd, muon)' "$lockstep" train useless.yaml --dry-run
grep -qF 'useless.yaml line 8: train.drop_every changes nothing: train.schedule cosine does not take it (step)' err.txt &&
    grep -qF 'useless.yaml line 11: train.sample_tokens changes nothing without train.sample_every' err.txt &&
    [ "$(grep -c 'changes nothing' err.txt)" = 3 ] || failed "settings that change nothing: $(cat err.txt)"
expect 0 'command line: train.beta2 changes nothing: train.optimizer sgd does not take it (adamw, muon, lion)' dry train.optimizer=sgd train.beta2=0.9
expect 0 'data.path changes nothing: data.kind generated makes its samples itself' dry data.kind=generated data.rule=copy model.context=256
expect 0 'data.modes changes nothing beside the other settings of data.kind generated' dry data.kind=generated data.rule=copy data.modes=3 data.path=null model.context=256
expect 0 'model.rotary_base changes nothing beside the other settings of model.kind gpt' dry model.rotary_base=500
expect 0 'model.rotary_low changes nothing' dry model.kind=llama model.rotary_scaling=ntk model.rotary_factor=2 model.rotary_low=2
sed 's/kind: gpt, layers: 1, heads: 2/kind: hybrid, layers: ma/' job.yaml > hybrid.yaml
expect 0 'model.mamba2_state changes nothing' "$lockstep" train hybrid.yaml --dry-run model.attention_heads=2 model.mamba2_state=8 model.mamba_state=4
grep -q 'mamba_state' err.txt && failed "a setting of a block that is there: $(cat err.txt)"
expect 0 '' dry train.optimizer=sgd train.momentum=0.5 train.schedule=step train.drop_every=7
grep -q 'changes nothing' err.txt && failed "settings that count: $(cat err.txt)"

# ---- patterns: all that are none, with their lines; and all that match nothing
cat >> job.yaml <<'JOB'
lora: {rank: 0}
JOB
sed -e "s/^  warmup: 1/&\n  freeze: ['(a', '[b']\n  scale: {'*': 1, layer: fast}\n  steps_: 3/; s/^lora:.*/lora: {targets: 'c)'}/" job.yaml > patterns.yaml
expect 2 "6 mistakes" "$lockstep" train patterns.yaml
for text in "line 7: train.freeze: '(a' is no regular expression" "line 7: train.freeze: '[b' is no regular expression" \
    "line 8: train.scale: '*' is no regular expression" "line 8: train.scale: layer: 'fast' is not a number" 'line 9: train.steps_: unknown' \
    "line 12: lora.targets: 'c)' is no regular expression"; do
    grep -qF "$text" err.txt || failed "no '$text' in: $(cat err.txt)"
done
sed -e "s/^  warmup: 1/&\n  freeze: [layer, nothing]\n  no_decay: [nobody]/" job.yaml > patterns.yaml
expect 2 '2 mistakes' "$lockstep" train patterns.yaml
grep -qF "line 7: train.freeze: 'nothing' matches no parameter" err.txt && grep -qF "line 8: train.no_decay: 'nobody' matches no parameter" err.txt ||
    failed "patterns that match nothing: $(cat err.txt)"
expect 2 'patterns.yaml: command line: train.freeze: all parameters match' "$lockstep" train patterns.yaml train.freeze=. train.no_decay=layer

# ---- job files take time in proportion to their size: quadratic time is cut off by the limit
{ echo 'model: {kind: gpt}' && echo 'train:' && seq -f '  k%06.0f: 1' 50000; } > many.yaml
(limit_time 12; expect 2 '50000 mistakes' "$lockstep" train many.yaml; exit $failures) || failures=$((failures + 1))
grep -q 'and [0-9]* more' err.txt || failed "$(tail -n 2 err.txt)"

# ---- samples without steps are no sequences
cat > points.yaml <<'JOB'
model: {kind: mingru, layers: 1, width: 8}
task: {kind: regression}
data: {kind: generated, rule: rings}
train: {steps: 2, batch: 2}
output: {path: none}
JOB
for kind in mingru minlstm s4d rnn; do
    expect 2 'the samples have no steps' "$lockstep" train points.yaml model.kind=$kind
done

# ---- weights that are not finite: copies are made of them with a word, and nothing is computed by them
expect 0 '' "$lockstep" train job.yaml
expect 0 '' "$lockstep" export run -o exported
grep -q 'not finite' err.txt && failed "finite weights: $(cat err.txt)"
cp -r exported poisoned
size=$(stat -c %s poisoned/model.safetensors)
for back in $(seq 4 4 64); do printf '\0\0\300\177' | dd of=poisoned/model.safetensors bs=1 seek=$((size - back)) conv=notrunc status=none; done
expect 0 'values of 1 parameters are not finite, the first in ' "$lockstep" import poisoned -o bad
expect 5 'not finite' "$lockstep" predict bad --ids 1,2,3 -o out.h5
[ -e out.h5 ] && failed 'predict wrote what is not finite'
expect 5 'not finite' "$lockstep" eval bad data.path=data.h5
expect 5 'not finite' "$lockstep" generate bad --prompt the
expect 0 'are not finite' "$lockstep" export bad -o again
cmp -s poisoned/model.safetensors again/model.safetensors || failed 'an export changes weights that are not finite'

# ---- an export replaces an earlier one, and nobody else's files
expect 0 '' "$lockstep" export run -o again
cmp -s exported/model.safetensors again/model.safetensors || failed 'an export does not replace an earlier one'
mkdir published notes
echo '{}' > published/config.json
expect 2 'published: has config.json, and is no folder that an export made' "$lockstep" export run -o published
[ "$(ls -A published)" = config.json ] && [ "$(cat published/config.json)" = '{}' ] || failed "a published model: $(ls -A published)"
touch notes/README.md
expect 0 '' "$lockstep" export run -o notes

# ---- places that cannot be written: the configuration's mistake, or the command line's
touch file
for path in file/deep /sys/lockstep-run; do
    expect 2 "${path%/deep}" "$lockstep" train job.yaml output.path=$path
    expect 2 "${path%/deep}" "$lockstep" import exported -o $path
    expect 2 "${path%/deep}" "$lockstep" export run -o $path
    expect 2 "${path%/deep}" "$lockstep" prepare text text.txt -o $path/out.h5
    expect 2 "${path%/deep}" "$lockstep" report run -o $path.html
    expect 2 "${path%/deep}" "$lockstep" plot run -o $path.svg
done
expect 2 file "$lockstep" predict run --ids 1,2 -o file/out.h5

# ---- data in the place of a job, and adapters without a model
printf '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n' > reviews.jsonl
says 2 "reviews.jsonl: looks like JSON lines; a job file is YAML with sections (model:, data:, train:, output:), and 'lockstep prepare' makes a data set" train reviews.jsonl
printf '[\n {"text": "a"}\n]\n' > reviews.json
says 2 'reviews.json: looks like JSON; a job file is YAML' train reviews.json
printf '# Title\n\nSome text: here.\nMore\n' > notes.md
says 2 'notes.md: line 5: could not find expected' train notes.md
grep -qF '; a job file is YAML with sections (model:, data:, train:, output:), and this one has none' err.txt || failed "no word of sections: $(cat err.txt)"
printf '{"model": {"kind": "gpt"},\n "data": {"path": "data.h5"}}\n' > job.json # JSON is YAML
expect 0 '' "$lockstep" train job.json --dry-run train.sequence=16
printf 'data: {path: data.h5}\ntrain: {init: run}\nlora: {rank: 2}\n' > adapters.yaml
says 2 'adapters.yaml: line 3: lora.rank: adapters stand on a trained model: name it as train.init' train adapters.yaml train.init=
says 2 'or name a trained model as train.init' train adapters.yaml train.init= lora.rank=0

finish
