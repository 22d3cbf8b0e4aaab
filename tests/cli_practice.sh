#!/usr/bin/env bash
# Training as users of language models do it: every optimiser with an average of weights and outliers left out, resumed to the bit; what
# uses a run takes the average.
# usage: cli_practice.sh PROGRAM
. "$(dirname "$0")/cli.inc"

for i in $(seq 80); do echo "line $i of a text that is said again and again, word by word, $((i * i % 17))"; done > text.txt
expect 0 '' "$lockstep" prepare text text.txt -o text.h5 --tokenizer bytes --validation 0.2
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 16}
data: {path: text.h5}
train: {steps: 8, batch: 4, warmup: 0, learning_rate: 1e-2, seed: 5, evaluate_every: 4, evaluate_batches: 2, average: 0.8, skip_outliers: 2,
        skip_window: 4}
output: {path: runs/whole, save_every: 4}
JOB

# ---- every optimiser of the help: stopped and gone on with, over two ranks as well, it is the same
for name in $(sed -nE 's/^OPTIMIZER\((\w+)\)$/\1/p' "$project/src/config/optimizers.def"); do
    expect 0 '' "$lockstep" train job.yaml train.optimizer="$name" output.path="runs/$name" --progress none
    expect 0 '' "$lockstep" train job.yaml train.optimizer="$name" output.path="runs/$name-parts" train.steps=4 train.schedule=constant --progress none
    expect 0 'going on' "$lockstep" train job.yaml train.optimizer="$name" output.path="runs/$name-parts" train.schedule=constant --progress none
    expect 0 '' "$lockstep" train job.yaml train.optimizer="$name" output.path="runs/$name-constant" train.schedule=constant --progress none
    says 0 'equal' diff "runs/$name-parts" "runs/$name-constant"
    says 0 '' inspect "runs/$name/checkpoints/step-00000008.h5"
done
says 0 'optimizer/r/layer.0.mlp.in.weight' inspect runs/adafactor/checkpoints/step-00000008.h5 --tensors
says 0 'optimizer/average/layer.0.mlp.in.weight' inspect runs/adafactor/checkpoints/step-00000008.h5 --tensors
grep -q '"skipped": ' runs/muon/metrics.jsonl || failed "no count of skipped steps: $(tail -1 runs/muon/metrics.jsonl)"
expect 2 'optimizer: lion in the checkpoint, muon now' "$lockstep" train job.yaml train.optimizer=muon output.path=runs/lion train.steps=9

# ---- the average is what is validated, evaluated and exported; the last parameters are there for who asks
last() { sed -nE 's/.*"validation_loss": ([-0-9.e]*).*/\1/p' "$1/metrics.jsonl" | tail -1; }
loss() { "$lockstep" eval "$@" --batches 2 --json | sed -nE 's/.*"loss": ([-0-9.e]*).*/\1/p'; }
near() { awk "BEGIN {d = $1 - $2; exit !(d < 1e-6 && d > -1e-6)}"; }
average=$(loss runs/adamw) parameters=$(loss runs/adamw train.average=0)
near "$average" "$(last runs/adamw)" || failed "eval of the average: $average, $(last runs/adamw)"
near "$average" "$parameters" && failed "the average is the parameters: $average"
expect 0 '' "$lockstep" export runs/adamw/checkpoints/step-00000008.h5 -o exported --native
expect 0 '' "$lockstep" import exported -o runs/imported
near "$average" "$(loss runs/imported data.path=text.h5 train.batch=4)" || failed "export of the average: $(loss runs/imported data.path=text.h5 train.batch=4)"
expect 0 '' "$lockstep" generate runs/adamw --prompt line --tokens 4

# ---- texts while it trains are those that generate makes of the run: of the average, and with adapters
expect 0 '' "$lockstep" prepare text text.txt -o letters.h5 --tokenizer characters --validation 0.2
speaks() # NAME key=value...: the last row's sample is what generate says
{
    local run=runs/$1
    expect 0 '' "$lockstep" train job.yaml data.path=letters.h5 output.path="$run" train.sample_every=8 train.sample_prompts=line train.sample_tokens=30 \
        train.sample_temperature=1 "${@:2}" --progress none
    "$lockstep" generate "$run/checkpoints/step-00000008.h5" --prompt line --tokens 30 --temperature 1 --seed 5 > said.txt 2> err.txt || failed "$1: $(cat err.txt)"
    python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[-1])["samples"][0])' "$run/metrics.jsonl" | cmp -s - said.txt ||
        failed "$1: sample and generate differ: $(tail -1 "$run/metrics.jsonl"), $(cat said.txt)"
}
speaks spoken
"$lockstep" generate runs/spoken/checkpoints/step-00000008.h5 --prompt line --tokens 30 --temperature 1 --seed 5 train.average=0 2> err.txt | cmp -s - said.txt &&
    failed "the last parameters say what the average says: $(cat err.txt)"
speaks spoken-lora train.average=0 train.init=runs/spoken lora.rank=2 lora.targets=.

# ---- an average is not begun, nor dropped, in the middle
expect 2 'train.average: 0.8 in the checkpoint, 0 now' "$lockstep" train job.yaml output.path=runs/spoken data.path=letters.h5 train.average=0 train.steps=9
grep -A1 'Not in the way:' err.txt | grep -q 'train.steps: 8' || failed "what may differ: $(cat err.txt)"

# ---- the plan counts all of it
says 0 '  average  ' train job.yaml output.path=runs/dry --dry-run
says 0 '  optimizer  ' train job.yaml output.path=runs/dry train.optimizer=muon --dry-run
"$lockstep" train job.yaml output.path=runs/dry train.optimizer=adafactor train.average=0 --dry-run > out.txt 2> err.txt
grep -q '  average' out.txt && failed "an average that nobody asked for: $(cat out.txt)"

# ---- schedules, and what does not fit
expect 0 '' "$lockstep" train job.yaml output.path=runs/wsd train.schedule=wsd train.cooldown=4 train.min_learning_rate=1e-3 --progress none
rates=$(sed -nE 's/.*"learning_rate": ([-0-9.e]*).*/\1/p' runs/wsd/metrics.jsonl | xargs printf '%.6g ')
[ "$rates" = "0.01 0.01 0.01 0.01 0.00775 0.0055 0.00325 0.001 " ] || failed "wsd: $rates"
expect 2 'several losses' "$lockstep" train "$project/jobs/rings-gan.yaml" train.skip_outliers=3 output.path=runs/gan

# ---- adapters: little of the model learns, checkpoints hold that alone; what uses the run merges it
expect 0 'lora: 448 numbers learn, on the 7664 of runs/adamw/checkpoints/' "$lockstep" train job.yaml lora.rank=2 lora.targets='mlp|qkv' lora.alpha=8 \
    train.init=runs/adamw train.average=0 train.optimizer=adamw output.path=runs/lora --progress none
grep -q 'gpt of 8.11k parameters, of which 448 learn; 1 rank' err.txt || failed "what learns: $(grep parameters err.txt)"
says 2 'runs/lora: is a run already' import runs/lora -o runs/none
says 2 'is a checkpoint already' import runs/lora/checkpoints/step-00000008.h5 -o runs/none
says 0 '' inspect runs/lora/checkpoints/step-00000008.h5 --tensors
grep -q 'parameters/layer.0.mlp.in.lora_a' out.txt && ! grep -q 'parameters/layer.0.mlp.in.weight' out.txt || failed "adapters' checkpoint: $(cat out.txt)"
grep -q 'optimizer/m/layer.0.attention.qkv.lora_b' out.txt && ! grep -q 'attention.out' out.txt || failed "adapters' moments: $(cat out.txt)"
near "$(loss runs/lora)" "$(last runs/lora)" || failed "eval of adapters: $(loss runs/lora), $(last runs/lora)"
near "$(loss runs/lora)" "$average" && failed "the adapters have learnt nothing"
expect 0 '' "$lockstep" export runs/lora -o merged
expect 0 '' "$lockstep" import merged -o runs/merged
near "$(loss runs/merged data.path=text.h5 train.batch=4)" "$(last runs/lora)" || failed "merged: $(loss runs/merged data.path=text.h5 train.batch=4), $(last runs/lora)"
expect 0 '' "$lockstep" generate runs/lora --prompt line --tokens 8 --temperature 0
cp out.txt said.txt
expect 0 '' "$lockstep" generate runs/merged --prompt line --tokens 8 --temperature 0
cmp -s out.txt said.txt || failed "the adapters say $(cat said.txt), merged $(cat out.txt)"
expect 0 '' "$lockstep" predict runs/lora --ids 1,2,3 -o logits.h5
lora=(lora.rank=2 lora.targets='mlp|qkv' lora.alpha=8 train.init=runs/adamw train.average=0 train.schedule=constant)
expect 0 '' "$lockstep" train job.yaml "${lora[@]}" output.path=runs/lora-whole --progress none
expect 0 '' "$lockstep" train job.yaml "${lora[@]}" output.path=runs/lora-parts train.steps=4 --progress none
expect 0 'going on' "$lockstep" train job.yaml "${lora[@]}" output.path=runs/lora-parts --progress none
says 0 'equal' diff runs/lora-parts runs/lora-whole
expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml "${lora[@]}" output.path=runs/lora-ranks --progress none
awk "BEGIN {d = $(last runs/lora-whole) - $(last runs/lora-ranks); exit !(d < 1e-5 && d > -1e-5)}" || failed "two ranks: $(last runs/lora-whole), $(last runs/lora-ranks)"
expect 0 '' "$lockstep" train job.yaml "${lora[@]}" train.precision=bfloat16 output.path=runs/lora-bfloat16 --progress none
says 0 'adapters of 7664 that do not learn' train job.yaml "${lora[@]}" output.path=runs/dry --dry-run
expect 2 "lora.targets: 'nothing' matches no dense layer of model gpt, which has layer.0.attention.qkv" "$lockstep" train job.yaml "${lora[@]}" lora.targets=nothing output.path=runs/none
expect 2 "lora.targets: 'q_proj', one of its alternatives, matches no dense layer of model gpt, which has layer.0.attention.qkv" \
    "$lockstep" train job.yaml "${lora[@]}" 'lora.targets=mlp|q_proj' output.path=runs/none
expect 2 "lora.targets: 'query|nothing' matches no dense layer" "$lockstep" train job.yaml "${lora[@]}" 'lora.targets=query|nothing' output.path=runs/none
for targets in '[]|]x|qkv' '(?i)QKV|MLP'; do # alternatives that stand for something else by themselves
    expect 0 '' "$lockstep" train job.yaml "${lora[@]}" "lora.targets=$targets" output.path=runs/none --dry-run
done
expect 2 'queries, keys and values are one matrix here: lora.targets=qkv' "$lockstep" train job.yaml "${lora[@]}" 'lora.targets=q_proj|v_proj' output.path=runs/none
expect 2 "lora.targets: 'nothing' matches no dense layer" "$lockstep" train job.yaml "${lora[@]}" lora.targets=nothing train.freeze=embedding output.path=runs/none
expect 2 'is no regular expression' "$lockstep" train job.yaml "${lora[@]}" 'lora.targets=(' output.path=runs/none
expect 2 'name it as train.init' "$lockstep" train job.yaml lora.rank=2 output.path=runs/none
expect 2 'lora.rank: 2 in the checkpoint, 3 now' "$lockstep" train job.yaml "${lora[@]}" lora.rank=3 train.steps=9 output.path=runs/lora-whole
expect 2 'lora: adapters alone learn, so that all else must be in train.init' "$lockstep" train job.yaml "${lora[@]}" model.layers=2 output.path=runs/none
expect 2 'lora.rank is 0, which is no adapters' "$lockstep" train job.yaml train.init=runs/adamw lora.alpha=4 output.path=runs/no-lora
expect 2 'train.init_match: partial is of train.init' "$lockstep" train job.yaml train.init_match=partial output.path=runs/no-init
expect 2 'lora.rank: 2 in the checkpoint, 0 now' "$lockstep" train job.yaml train.init=runs/adamw output.path=runs/lora-whole train.steps=9 train.average=0
# a run is used from other folders too: by where the training found train.init, or where the command line says it is
grep -q "^  base: .*/runs/adamw" runs/lora-whole/config.yaml || failed "where train.init was: $(grep -A5 ^lora runs/lora-whole/config.yaml)"
expect 0 '' "$lockstep" eval runs/lora-whole
here=$(sed 's/.*: loss \([0-9.]*\).*/\1/' out.txt)
mkdir elsewhere
cd elsewhere
expect 0 '' "$lockstep" eval ../runs/lora-whole data.path=../text.h5
[ "$(sed 's/.*: loss \([0-9.]*\).*/\1/' out.txt)" = "$here" ] || failed "from another folder: $here, $(cat out.txt)"
expect 0 '' "$lockstep" export ../runs/lora-whole -o exported --native
mv ../runs/adamw moved
expect 2 "train.init, which lora adapts: runs/adamw: there is no such run, checkpoint or folder, looked for from the current folder and as /" \
    "$lockstep" export ../runs/lora-whole -o exported-too --native
expect 2 'give train.init=PATH' "$lockstep" eval ../runs/lora-whole data.path=../text.h5 train.init=runs/adamw
for command in "eval ../runs/lora-whole data.path=../text.h5" 'export ../runs/lora-whole -o exported-too --native' \
    'generate ../runs/lora-whole --ids 1,2 --tokens 2' 'predict ../runs/lora-whole --ids 1,2 -o out.h5'; do
    expect 0 '' "$lockstep" $command train.init=moved
done
cmp exported/model.safetensors exported-too/model.safetensors || failed "exports of one run differ"
mv moved ../runs/adamw
cd ..
cp -r runs/adamw runs/kept
expect 0 '' "$lockstep" train job.yaml train.steps=9 output.path=runs/adamw train.optimizer=adamw --progress none
rm -f runs/adamw/checkpoints/step-00000008.h5
expect 4 'its adapters were trained on another runs/adamw' "$lockstep" eval runs/lora-whole
expect 2 'lora.digest' "$lockstep" train job.yaml "${lora[@]}" output.path=runs/lora-whole train.steps=9
finish
