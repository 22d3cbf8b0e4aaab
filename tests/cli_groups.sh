#!/usr/bin/env bash
# What a job file can say of parts of a training: frozen parameters resumed to the bit, samples of text that change no bit, where settings are from,
# the plan as JSON.
# usage: cli_groups.sh PROGRAM
. "$(dirname "$0")/cli.inc"
random_words 900 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 2, width: 16, heads: 2, context: 16}
data: {path: data.h5}
train:
  steps: 12
  batch: 4
  warmup: 2
  schedule: constant
  learning_rate: 1e-2
  evaluate_every: 6
  freeze: ['^layer\.0\.', embedding]
  scale: {layer: 0.5}
  no_decay:
    - attention
output: {path: run, save_every: 6}
JOB
train() { expect 0 '' "$lockstep" train job.yaml --progress none "$@"; }

# ---- frozen: in one go, stopped and resumed, and over ranks
train
train output.path=parts train.steps=6
train output.path=parts
says 0 'equal' diff run parts
[ "$("$lockstep" diff run parts | tail -1)" = equal ] || failed "resumed with frozen parameters: $("$lockstep" diff run parts | tail -5)"
for path in two two-parts; do
    [ $path = two ] || expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=$path train.steps=6
    expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=$path
done
[ "$("$lockstep" diff two two-parts | tail -1)" = equal ] || failed "two ranks, resumed: $("$lockstep" diff two two-parts | tail -5)"
loss() { tail -1 "$1/metrics.jsonl" | sed -E 's/.*"loss": ([-0-9.e]*), "val.*/\1/'; }
awk "BEGIN {d = $(loss run) - $(loss two); exit !(d < 1e-5 && d > -1e-5)}" || failed "two ranks: $(loss run), $(loss two)"
"$lockstep" inspect run --json > out.txt 2>&1
cp run/checkpoints/step-00000012.h5 copy.h5
says 0 'sealed' seal copy.h5
says 0 '' eval run
expect 2 'train.freeze: ["^layer\\.0\\.", embedding] in the checkpoint, [embedding] now' "$lockstep" train job.yaml train.freeze=embedding train.steps=20
says 2 "matches no parameter of this model; the nearest of" train job.yaml output.path=none train.freeze=encoder
says 2 "matches no parameter of this model; the nearest of" train job.yaml output.path=none train.freeze=encoder --dry-run
[ ! -e none ] || failed "a training that was refused left something"

# ---- samples: in the log and the rows, on the page, and no bit of the training another one
train output.path=spoken train.sample_every=5 "train.sample_prompts=[the, 'cat s']" train.sample_tokens=8
grep -q 'samples after step 5: \["the' err.txt || failed "no sample in the log: $(cat err.txt)"
[ "$("$lockstep" diff run spoken | tail -1)" = equal ] || failed "samples change the training: $("$lockstep" diff run spoken | tail -5)"
python3 - <<'PY' || failed "rows with samples: $(grep samples spoken/metrics.jsonl)"
import json
rows = [json.loads(line) for line in open("spoken/metrics.jsonl")]
assert len(rows) == 12
assert [row["step"] for row in rows if "samples" in row] == [5, 10, 12]
for row in rows:
    if "samples" in row:
        assert len(row["samples"]) == 2 and row["samples"][0].startswith("the") and row["samples"][1].startswith("cat s")
        assert len(row["samples"][0]) == 3 + 8 and len(row["samples"][1]) == 5 + 8
last = [row["samples"] for row in rows if "samples" in row][-1]
open("sample.txt", "w").write(last[1])
PY
# what generate says with the same seed (1, and 2 for the second prompt)
"$lockstep" generate spoken --prompt 'cat s' --tokens 8 --temperature 0.8 --seed 2 2> err.txt | cmp -s - <(cat sample.txt; echo) || failed "not what generate says: $(cat sample.txt)"
expect 0 '' $mpirun -np 2 "$lockstep" train job.yaml --progress none output.path=two-spoken train.sample_every=4 train.sample_prompts=the output.log_every=12
[ "$("$lockstep" diff two two-spoken | tail -1)" = equal ] || failed "samples change two ranks: $("$lockstep" diff two two-spoken | tail -5)"
[ "$(grep -c samples two-spoken/metrics.jsonl)" = 3 ] || failed "rows of samples where no others are written: $(cat two-spoken/metrics.jsonl)"
train output.path=spoken train.sample_every=5 train.sample_prompts=the train.steps=14 # resumed: the rows read as any
expect 0 '' "$lockstep" report spoken run -o page.html
grep -q '<h2>Samples</h2>' page.html && grep -q 'spoken, step 12</summary>' page.html || failed "no samples on the page"
expect 0 '' "$lockstep" train job.yaml --dry-run --json train.sample_every=5 train.sample_prompts=the # what it takes is in the plan
grep -Eq '"samples": [1-9][0-9]{4,},?$' out.txt || failed "no memory of samples in the plan: $(cat out.txt)"
expect 2 "train.freeze: all parameters of 'discriminator.' match" "$lockstep" train "$project/jobs/rings-gan.yaml" output.path=none train.freeze=discriminator
expect 2 'set train.sample_prompts' "$lockstep" train job.yaml output.path=none train.sample_every=5
expect 2 "train.sample_prompts: 'Q': line 1, byte 0" "$lockstep" train job.yaml output.path=none train.sample_every=5 "train.sample_prompts=[the, Q]"
expect 2 "the prompt has 18 tokens, but the model's context is 16" "$lockstep" train job.yaml output.path=none train.sample_every=5 'train.sample_prompts=the cat sat on a m'
[ ! -e none/config.yaml ] || failed "a prompt that cannot be read left a run"

# ---- where settings are from
expect 0 '' "$lockstep" train job.yaml --explain train.steps=7 output.path=none
for row in 'model.kind +gpt +job.yaml line 1' 'train.steps +7 +command line' 'train.batch +4 +job.yaml line 5' 'train.no_decay +\[attention\] +job.yaml line 12' \
    'train.seed +1 +default' 'output.path +none +command line' 'train.scale +\{layer: 0.5\} +job.yaml line 11' 'train.procedure +supervised +default'; do
    grep -Eq "^$row" out.txt || failed "--explain: no '$row' in $(cat out.txt)"
done
[ ! -e none/config.yaml ] || failed "--explain trains"
printf 'model: {dropout: 0.1}\ndata: {path: data.h5}\ntrain: {init: run}\n' > tuned.yaml
expect 0 '' "$lockstep" train tuned.yaml --explain --json output.path=tuned
grep -A1 '"value": "16"' out.txt | grep -q '"from": "train.init run"' || failed "--explain of train.init: $(cat out.txt)"
expect 2 '--json says how --dry-run and --explain print' "$lockstep" train job.yaml --json

# ---- the plan as JSON: the numbers that are printed
expect 0 '' "$lockstep" train job.yaml --dry-run --json
python3 - <<'PY' || failed "--dry-run --json: $(cat out.txt)"
import json
plan = json.load(open("out.txt"))
assert plan["model"] == "gpt" and plan["steps"] == 12 and plan["batch"] == 4 and plan["ranks"] == 1 and plan["sequence"] == 16
assert plan["memory"]["total_bytes"] == sum(plan["memory"]["parts"].values())
assert plan["disk"]["checkpoint_bytes"] > plan["parameters"] * 4 and plan["step_seconds_low"] < plan["step_seconds_high"]
open("parameters", "w").write(str(plan["parameters"]))
PY
says 0 "gpt, $(cat parameters) parameters" train job.yaml --dry-run

# ---- what patterns match; one of no_decay that matches vectors only changes nothing
grep -q "^train.no_decay   'attention' matches [0-9]* parameters: layer.0.attention.*, and [0-9]* more" out.txt || failed "no_decay: $(cat out.txt)"
grep -q "^train.freeze     'embedding' matches [0-9]* parameters\?: token_embedding" out.txt || failed "freeze: $(cat out.txt)"
[ ! -s err.txt ] || failed "a warning of patterns that count: $(cat err.txt)"
expect 0 "warning: command line: train.no_decay: 'norm' changes nothing: all it matches (layer.0.norm_1.scale, ...) is never decayed" \
    "$lockstep" train job.yaml --dry-run --json 'train.no_decay=[norm, in.weight]' 'train.scale={embedding: 2, token: 3}'
[ "$(grep -c 'changes nothing' err.txt)" = 1 ] || failed "warnings of no_decay: $(cat err.txt)"
python3 - <<'PY' || failed "matches of --dry-run --json: $(cat out.txt)"
import json
names = {(one["setting"], one["pattern"]): one["names"] for one in json.load(open("out.txt"))["matches"]}
assert len(names) == 6
assert "layer.0.mlp.in.weight" in names["train.no_decay", "in.weight"] and "token_embedding" in names["train.scale", "embedding"]
assert names["train.scale", "token"] == [] # the pattern before it has them
assert names["train.freeze", r"^layer\.0\."] and all(name.startswith("layer.0.") for name in names["train.freeze", r"^layer\.0\."])
PY
expect 0 "train.no_decay: 'norm' changes nothing" "$lockstep" train job.yaml --progress none output.path=vectors train.no_decay=norm train.steps=1
printf 'data: {path: data.h5}\ntrain: {init: run, steps: 2, warmup: 0}\nlora: {rank: 2, targets: mlp}\noutput: {path: none}\n' > lora.yaml
says 0 "lora.targets     'mlp' matches 4 layers: layer.0.mlp.in, layer.0.mlp.out, layer.1.mlp.in, and 1 more" train lora.yaml --dry-run
finish
