#!/usr/bin/env bash
# Models as folders: a run of every model kind is exported in the native layout and imported again, and says the same to the bit; folders
# that somebody else made, and their mistakes. The kinds are read off `lockstep models`: one that this file does not know fails it.
# usage: cli_formats.sh PROGRAM
. "$(dirname "$0")/cli.inc"
declare -A tried

# evaluated RUN: what eval says of it, without what is of the run and the machine
evaluated()
{
    run_for 0 "$lockstep" eval "$1" --best --json
    sed -E 's/"(checkpoint|step|seconds|[a-z]*_per_second)": [^,}]*,? ?//g' out.txt
}

# carries KIND TASK 'SETTINGS' 'DATA' 'TRAIN' [EXPORT OPTION]...: two steps, there and back
carries()
{
    local kind=$1 task=$2 settings=$3 data=$4 train=$5 one two
    shift 5
    rm -rf run folder back again
    cat > job.yaml <<JOB
model: {kind: $kind, $settings}
task: {kind: $task}
data: {$data}
train: {steps: 2, batch: 4, warmup: 0, learning_rate: 1e-2, evaluate_every: 0$train}
output: {path: run}
JOB
    expect 0 '' "$lockstep" train job.yaml --progress none
    says 0 'layout of "lockstep"' export run -o folder "$@"
    says 0 'imported' import folder -o back
    one=$(evaluated run) two=$(evaluated back)
    [ $task = generation ] && one=$(sed '/"loss"/d' <<< "$one") two=$(sed '/"loss"/d' <<< "$two") # its noise is drawn by the step
    [ -n "$one" ] && [ "$one" = "$two" ] || failed "$kind, $task: eval says '$one', of the import '$two'"
    says 0 'layout of "lockstep"' export back -o again --native
    diff -r folder again > diff.txt || failed "$kind, $task: exported again it differs: $(head -5 diff.txt)"
    tried[$kind]=1
}

# ---- data of all kinds
random_words 400 > text.txt
prepare text.h5 --tokenizer characters --validation 0.2
for i in $(seq 40); do
    words=(the film was long and $i seats were hard)
    echo -e "$([ $((i % 3)) = 0 ] && echo good || echo bad)\t${words[*]:0:$((3 + i % 6))}"
done > lines.tsv
expect 0 '' "$lockstep" prepare lines lines.tsv -o lines.h5 --validation 8
sed -E 's/.*\t//; s/ /\tO\n/g; s/$/\tB-x\n/' lines.tsv > tags.conll
expect 0 '' "$lockstep" prepare columns tags.conll -o tags.h5 --validation 8
for i in $(seq 0 39); do echo -e "$((i / 10)) $((i % 10))\tten $((i / 10)) and $((i % 10))"; done > pairs.tsv
expect 0 '' "$lockstep" prepare pairs pairs.tsv -o pairs.h5 --validation 8
awk 'BEGIN {print "t,value"; for (i = 0; i < 80; i++) printf "%d,%.5f\n", i, 20 + 5 * sin(i / 4)}' > series.csv
expect 0 '' "$lockstep" prepare series series.csv --columns value --window 8 --horizon 2 -o series.h5
{ printf '\0\0\10\3\0\0\0\14\0\0\0\24\0\0\0\24'; seq 1000 3000 | head -c 4800; } > pictures-idx3-ubyte
printf '\0\0\10\1\0\0\0\14\0\1\2\0\1\2\0\1\2\0\1\2' > labels-idx1-ubyte
expect 0 '' "$lockstep" prepare images pictures-idx3-ubyte labels-idx1-ubyte -o pictures.h5 --validation 4 --classes cat,dog,bird

# ---- every model, and every task that changes what is saved
carries gpt language 'layers: 2, heads: 2, width: 8, context: 12' 'path: text.h5' '' --native
expect 0 '' "$lockstep" generate run --prompt 'the cat' --tokens 20 --seed 3
mv out.txt one.txt
expect 0 '' "$lockstep" generate back --prompt 'the cat' --tokens 20 --seed 3
cmp -s one.txt out.txt || failed "an imported model goes on with other words"
carries mamba language 'layers: 1, width: 8, context: 12' 'path: text.h5' ', precision: bfloat16' --native
carries llama language 'layers: 2, heads: 2, kv_heads: 1, width: 8, hidden: 12, context: 12, window: 5' 'path: text.h5' '' --native
carries gpt_neox language 'layers: 1, heads: 1, width: 8, context: 12' 'path: text.h5' '' --native
carries mamba2 language 'layers: 1, width: 8, head_dim: 4, state: 4, context: 12' 'path: text.h5' '' --native
carries hybrid language 'layers: m2a47, width: 8, mamba2_head_dim: 4, mamba2_state: 4, attention_heads: 2, rwkv7_head: 4, context: 12' 'path: text.h5' ''
carries rnn language 'cell: gru, layers: 1, width: 8, context: 12' 'path: text.h5' ', carry: true'
carries mingru language 'layers: 1, width: 8, context: 12' 'path: text.h5' ''
carries minlstm language 'layers: 1, width: 8, context: 12, conv: 0, mlp: 0' 'path: text.h5' ''
carries s4d regression 'layers: 1, width: 8, state: 4' 'kind: series, path: series.h5' ''
carries rwkv4 language 'layers: 1, width: 8, context: 12' 'path: text.h5' ', carry: true' --native
carries rwkv5 language 'layers: 1, width: 8, head: 4, hidden: 12, context: 12' 'path: text.h5' ', carry: true' --native
carries rwkv6 language 'layers: 1, width: 8, head: 4, hidden: 12, context: 12' 'path: text.h5' ', carry: true' --native
carries rwkv7 language 'layers: 2, width: 8, head: 4, context: 12' 'path: text.h5' ', carry: true' --native
carries longformer masked_language 'layers: 2, heads: 2, width: 8, context: 12, window: "4,6", dilation: 2, dilated_heads: 1' 'path: text.h5' '' --native
carries linformer masked_language 'layers: 1, heads: 2, width: 8, context: 12, projected: 5, sharing: layerwise' 'path: text.h5' ''
carries transformer_xl language 'layers: 1, heads: 2, width: 8, context: 12, memory: 7' 'path: text.h5' ', carry: true'
carries bert masked_language 'layers: 1, heads: 2, width: 8, context: 12, epsilon: 1e-7' 'path: text.h5' '' --native
carries bert classification 'layers: 1, heads: 2, width: 8, context: 12, pool: first' 'kind: lines, path: lines.h5' '' --native
says 0 '8 samples' predict run --input lines.h5 -o one.tsv --text
says 0 '8 samples' predict back --input lines.h5 -o two.tsv --text
cmp -s one.tsv two.tsv && grep -q $'\tbad\tgood' two.tsv || failed "an imported model predicts otherwise: $(head -2 two.tsv)"
carries rnn tagging 'cell: lstm, bidirectional: true, layers: 1, width: 8' 'kind: columns, path: tags.h5' ', sequence: 12'
carries rnn regression 'cell: tanh, layers: 1, width: 8' 'kind: series, path: series.h5' ''
carries mlp classification 'layers: 1, width: 8' 'kind: images, path: pictures.h5' ''
carries lenet classification '' 'kind: images, path: pictures.h5' ''
carries dcgan generation 'stages: 1, width: 4, noise: 3' 'kind: images, path: pictures.h5, scaling: symmetric' ''
carries resnet classification 'stages: 1, blocks: 1, width: 4' 'kind: images, path: pictures.h5' ''
carries seq2seq pairs 'cell: gru, width: 8' 'kind: pairs, path: pairs.h5' ''
printf '3 7\n' > source.txt
expect 0 '' "$lockstep" generate run --input source.txt
mv out.txt one.txt
expect 0 '' "$lockstep" generate back --input source.txt
cmp -s one.txt out.txt || failed "an imported model translates otherwise"
carries transformer pairs 'layers: 1, heads: 2, width: 8, context: 16' 'kind: pairs, path: pairs.h5' ''
carries gan_mlp generation 'layers: 1, width: 8, noise: 4' 'kind: generated' ''
carries q_network control 'layers: 1, width: 8' 'kind: environment, environment: cartpole' ', replay: 50, replay_start: 20'
expect 0 '' "$lockstep" train job.yaml output.path=back --progress none # an imported run is trained on
says 0 '' models
for kind in $(sed -n 's/^\([a-z0-9_]*\)  .*/\1/p' out.txt); do
    [ -n "${tried[$kind]:-}" ] || failed "model kind $kind is not exported here"
done

# ---- folders that somebody else made
mkdir outer && mv folder outer/published
says 3 'outer: has no config.json; below it: outer/published (weights)' import outer -o none
says 4 'outer: there is no checkpoint in it; a run folder or a checkpoint is asked for; below it: outer/published (weights)' eval outer
says 4 'outer: is no run folder: it has neither checkpoints nor metrics; below it: outer/published (weights)' inspect outer
mkdir void
says 3 'void/config.json: No such file' import void -o none
[ ! -e none ] || failed "import: leaves $(find none)"
rm -rf outer bad
carries mlp classification 'layers: 1, width: 8' 'kind: images, path: pictures.h5' ''

# refuses TEXT: status 3 and TEXT, and no run
refuses()
{
    says 3 "$1" import bad -o none
    [ ! -e none ] || failed "import: leaves $(find none)"
}
# changed 's/.../.../': folder with another config.json
changed() { rm -rf bad; cp -r folder bad; sed -i -E "$1" bad/config.json; }
# tensors 's/.../.../': folder with another header in model.safetensors, as long as it was
tensors() { rm -rf bad; cp -r folder bad; LC_ALL=C sed -i -E "1,/\}\}/$1" bad/model.safetensors; }
changed 's/"layers": 1/"layrs": 1/'
refuses 'bad/config.json: model.layrs: unknown; did you mean'
changed 's/"width": 8/"width": 0/'
refuses 'model.width: 0 is out of range'
changed 's/"width": 8/"width": [8]/'
refuses 'model.width: a list where one value belongs'
changed 's/"width": 8/"width": 9/'
refuses 'layer.0.dense.weight has shape (8, 400), the settings ask for (9, 400)'
changed 's/"layers": 1/"layers": 2/'
refuses 'layer.1.dense.weight (8, 8) is missing'
changed 's/"layers": 1/"layers": 0/'
refuses 'layer.0.dense.bias (8) is not a parameter of this model'
changed 's/"kind": "classification"/"kind": "classifying"/'
refuses "there is no task 'classifying'"
changed 's/"kind": "classification",?//; s/"(pool|label_smoothing)": [^,]*,//'
refuses 'bad/config.json: says no task'
changed 's/"task": /"tusk": /; s/"model_type"/"task": {"kind": "classification"}, "model_type"/'
refuses 'bad/config.json: key tusk is not known'
changed 's/"format_version": 1/"format_version": 7/'
refuses 'key format_version: only 1 is read'
tensors 's/"F32"/"I32"/'
refuses 'has elements of type I32; F32, F16, BF16 and F64 are read'
tensors 's/head\.bias/heed.bias/'
refuses 'head.bias (3) is missing'
says 2 'has checkpoints already' import folder -o run
rm -rf bad; cp -r folder bad; echo '[' > bad/lockstep_info.json
refuses 'bad/lockstep_info.json: not JSON'

# ---- RWKV under the author's names: known by its tensors, and the way back
for version in 5 6 7; do
    rm -rf run folder back
    says 0 'imported' import "$fixtures/rwkv$version-tiny/model.safetensors" -o run
    says 0 "layout of \"rwkv_x0" export run -o folder
    rm folder/config.json
    says 0 'imported' import folder -o back
    expect 0 '' "$lockstep" generate run --ids 1,2,3 --tokens 20 --seed 3
    mv out.txt one.txt
    expect 0 '' "$lockstep" generate back --ids 1,2,3 --tokens 20 --seed 3
    cmp -s one.txt out.txt || failed "rwkv$version: not the same there and back"
done
rm -rf run folder
says 0 'imported' import "$fixtures/rwkv4-author" -o run
says 0 'layout of "rwkv"' export run -o folder
mkdir nameless && cp "$fixtures/mamba-tiny/model.safetensors" nameless
says 3 'of no model that is known without one' import nameless -o none
[ ! -e none ] || failed 'a run is left of a file that is not known'

# ---- conversations: markers go out as a chat template and come back; a program of somebody else says none
printf '{"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "eins"}]}\n' > talk.jsonl
expect 0 '' "$lockstep" prepare chat talk.jsonl -o talk.h5 --validation 0 --user '<|"u"|>\n' --end '{{%}\n'
cat > talk.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 8, context: 64}
data: {kind: chat, path: talk.h5}
train: {steps: 1, batch: 1, warmup: 0, evaluate_every: 0}
output: {path: talk}
JOB
expect 0 '' "$lockstep" train talk.yaml
expect 0 '' "$lockstep" export talk -o spoken
printf '%s\n' '{%- set marker = {"system":"<|system|>\n","user":"<|\"u\"|>\n","assistant":"<|assistant|>\n","end":"{{%}\n"} -%}' \
    '{%- for message in messages -%}' "{{- marker[message['role']] + message['content'] + marker['end'] -}}" '{%- endfor -%}' \
    "{%- if add_generation_prompt -%}{{- marker['assistant'] -}}{%- endif -%}" | diff - spoken/chat_template.jinja || failed 'the chat template is another'
expect 0 '' "$lockstep" import spoken -o heard
for run in talk heard; do
    expect 0 '' "$lockstep" generate $run --message Hello --tokens 2 --seed 3 --json
    mv out.txt $run.json
done
cmp talk.json heard.json || failed 'markers are lost on the way'
grep -q '<|\\"u\\"|>' heard.json || failed "no markers in the prompt: $(cat heard.json)"
echo '{{ messages }}' > spoken/chat_template.jinja
expect 0 '' "$lockstep" import spoken -o foreign
expect 2 '--message is of models that learnt conversations' "$lockstep" generate foreign --message Hello --tokens 1
finish
