#!/usr/bin/env bash
# Tokenizers of published models: data by a folder or a file of one, a model that is trained on it, out and in again; the tokens stay those.
# usage: cli_subword.sh PROGRAM
. "$(dirname "$0")/cli.inc"
subword=$fixtures/subword

random_words 2000 > text.txt
expect 0 '(subword)' "$lockstep" prepare text text.txt -o llama.h5 --tokenizer "$subword/llama2" --validation 0.1
expect 0 '(subword)' "$lockstep" prepare text text.txt -o file.h5 --tokenizer "$subword/llama2/tokenizer.json" --validation 0.1
expect 0 '(subword)' "$lockstep" prepare text text.txt -o neox.h5 --tokenizer gpt2 --vocabulary "$subword/neox" --validation 0.1
expect 0 '(gpt2)' "$lockstep" prepare text text.txt -o gpt2.h5 --tokenizer "$fixtures/small_bpe" --validation 0.1
expect 0 '(wordpiece)' "$lockstep" prepare text text.txt -o bert.h5 --tokenizer "$fixtures/small_wordpiece" --validation 0.1
expect 2 "'nowhere' is none of" "$lockstep" prepare text text.txt -o none.h5 --tokenizer nowhere
mkdir empty
expect 3 'empty: has no tokenizer that this program knows' "$lockstep" prepare text text.txt -o none.h5 --tokenizer empty
sed 's/"normalizer":null/"normalizer":{"type":"NFKD"}/' "$subword/smollm/tokenizer.json" > empty/tokenizer.json
expect 3 'the normalizer has the type NFKD, which this program does not know' "$lockstep" prepare text text.txt -o none.h5 --tokenizer empty
[ ! -e none.h5 ] || failed 'a refused tokenizer leaves a file'

cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 16}
data: {path: llama.h5}
train: {steps: 3, batch: 4, sequence: 16, evaluate_batches: 1}
output: {path: run}
JOB
expect 0 '' "$lockstep" train job.yaml --progress none
expect 0 '' "$lockstep" eval run data.path=file.h5 # the same tokenizer
expect 3 'has another tokenizer (subword' "$lockstep" eval run data.path=neox.h5
expect 0 '' "$lockstep" generate run --prompt 'the text' --tokens 10 --seed 1
head -c 8 out.txt | cmp -s - <(printf 'the text') || failed "the prompt is not as it was: $(head -1 out.txt)"
mv out.txt one.txt
expect 0 '' "$lockstep" export run -o exported
cmp exported/tokenizer.json "$subword/llama2/tokenizer.json" || failed 'the tokenizer comes out otherwise'
expect 0 '' "$lockstep" import exported -o imported
expect 0 '' "$lockstep" generate imported --prompt 'the text' --tokens 10 --seed 1
cmp -s one.txt out.txt || failed 'an imported model goes on with other words'
expect 0 '' "$lockstep" export imported -o again
diff -r exported again > diff.txt || failed "exported again it differs: $(head -5 diff.txt)"

# RWKV's World vocabulary: data, a model, out and in again; beside a model of transformers' layout; damaged
world=$fixtures/small_rwkv_world
expect 0 '(rwkv_world)' "$lockstep" prepare text text.txt -o world.h5 --tokenizer "$world" --validation 0.1
expect 0 '(rwkv_world)' "$lockstep" prepare text text.txt -o same.h5 --tokenizer rwkv_world --vocabulary "$world/rwkv_vocab_v20230424.txt" --validation 0.1
expect 0 '' "$lockstep" train job.yaml model.kind=rwkv7 model.heads= model.head=8 data.path=world.h5 output.path=world --progress none
expect 0 '' "$lockstep" eval world data.path=same.h5
expect 3 'has another tokenizer (gpt2' "$lockstep" eval world data.path=gpt2.h5
expect 0 '' "$lockstep" generate world --prompt 'the text' --tokens 10 --seed 1
mv out.txt one.txt
expect 0 '' "$lockstep" export world -o world-out
cmp world-out/rwkv_vocab_v20230424.txt "$world/rwkv_vocab_v20230424.txt" || failed 'the vocabulary comes out otherwise'
expect 0 '' "$lockstep" import world-out -o world-in
expect 0 '' "$lockstep" generate world-in --prompt 'the text' --tokens 10 --seed 1
cmp -s one.txt out.txt || failed 'an imported model of the World tokenizer goes on with other words'
expect 0 '' "$lockstep" eval world-in data.path=world.h5 train.sequence=16
mkdir beside
cp "$fixtures"/rwkv4-tiny/{config.json,model.safetensors} beside
expect 0 '' "$lockstep" import beside -o plain
head -30 "$world/rwkv_vocab_v20230424.txt" > beside/rwkv_vocab_v20230424.txt
expect 0 '' "$lockstep" import beside -o named
expect 2 'this model has no tokenizer' "$lockstep" generate plain --prompt $'\t\n' --tokens 1
expect 0 'prompt: 2 tokens' "$lockstep" generate named --prompt $'\t\n' --tokens 1
cp "$world/rwkv_vocab_v20230424.txt" beside
expect 3 'beside: its tokenizer has 963 tokens, its model 37' "$lockstep" import beside -o larger
sed -i '7s/ 1$/ 2/' beside/rwkv_vocab_v20230424.txt
expect 3 "beside/rwkv_vocab_v20230424.txt: line 7: its text has 1 bytes, but it says '2'" "$lockstep" import beside -o damaged
[ ! -e larger ] && [ ! -e damaged ] || failed 'a refused import leaves a run'

# GPT-2's own vocabulary: the name of its token is text, and said to be so, unless --special is given
expect 0 '' "$lockstep" train job.yaml data.path=gpt2.h5 output.path=gpt2 --progress none
said="'<|endoftext|>' in it is read as text; --special makes it the token of that name"
expect 0 "the prompt: $said" "$lockstep" generate gpt2 --prompt 'the<|endoftext|>' --tokens 3
expect 0 '' "$lockstep" generate gpt2 --prompt 'the<|endoftext|>' --tokens 3 --special
grep -q 'read as text' err.txt && failed "--special warns: $(cat err.txt)"
grep -q 'prompt: 2 tokens' err.txt || failed "--special is not one token: $(cat err.txt)"
head -c 16 out.txt | cmp -s - <(printf 'the<|endoftext|>') || failed "the prompt is not as it was: $(head -1 out.txt)"
# the token that ends a text is no part of it, but is one of its tokens
any=(--prompt the --tokens 9000 --temperature 1e6)
expect 0 '' "$lockstep" generate gpt2 "${any[@]}" --json
mv out.txt rows.json
expect 0 '' "$lockstep" generate gpt2 "${any[@]}" --only-new
python3 - out.txt <<'PY' || failed "the end token: $(tail -c 200 out.txt)"
import json
row = json.load(open("rows.json"))[0]
said = open("out.txt", "rb").read().decode(errors="replace")
assert row["ended"] == "end token" and len(row["tokens"]) < 9000, row["ended"]
assert not said.endswith("<|endoftext|>\n") and not row["text"].endswith("<|endoftext|>")
PY
ids=$("$lockstep" generate gpt2 --ids 1 --tokens 9000 --temperature 1e6 2> err.txt)
[ "${ids##*,}" = "$(python3 -c 'import json; print(json.load(open("rows.json"))[0]["tokens"][-1])')" ] || failed "ids end otherwise: ${ids##*,}"
expect 0 '' "$lockstep" generate gpt2 "${any[@]}" --no-stop --json
grep -q '"ended": "tokens"' out.txt && grep -q 'endoftext' out.txt || failed '--no-stop ends'
printf 'the text<|endoftext|>another text' > marked.txt
expect 0 "marked.txt: $said" "$lockstep" prepare text marked.txt -o marked.h5 --like gpt2 --validation 0
expect 0 "marked.txt: $said" "$lockstep" eval gpt2 --input marked.txt
expect 0 '' "$lockstep" eval gpt2 --input marked.txt --special
grep -q 'read as text' err.txt && failed "--special warns: $(cat err.txt)"

# a published folder, fine-tuned, gone on with, and exported: its tokenizer's files and generation_config.json come out as they were
expect 0 '' "$lockstep" export gpt2 -o published
python3 - <<'PY' # as other programs write it
import json
rules = json.load(open("published/tokenizer.json"))
rules["post_processor"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
rules["decoder"]["trim_offsets"] = True
json.dump(rules, open("published/tokenizer.json", "w"), indent=3)
json.dump({"eos_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16},
          open("published/tokenizer_config.json", "w"))
PY
rm published/vocab.json published/merges.txt
printf '{\n "temperature": 0.7\n}\n' > published/generation_config.json
expect 0 '(gpt2)' "$lockstep" prepare text text.txt -o published.h5 --tokenizer published --validation 0.1
as_published() # RUN OTHER...: its export
{
    rm -rf out && expect 0 '' "$lockstep" export "$1" -o out
    for file in $(ls published out | grep -E '[.](json|txt)$' | grep -v '^config.json$' | sort -u); do
        cmp -s "published/$file" "out/$file" || failed "$*: $file is not as it was published"
    done
}
tune="$lockstep train job.yaml data.path=published.h5 train.init=published --progress none"
expect 0 '' $tune output.path=tuned
as_published tuned
expect 0 '' $tune output.path=tuned train.steps=4
as_published tuned resumed
expect 0 '' $tune output.path=adapted lora.rank=2
as_published adapted
expect 0 '' "$lockstep" import published -o base
as_published base

# a model that ends texts with one of several tokens: all of them go out again, of a run that was not imported too
cp -r "$subword/llama2" several && echo '{"eos_token_id": [2, 7]}' > several/config.json
expect 0 '' "$lockstep" prepare text text.txt -o several.h5 --tokenizer several --validation 0.1
expect 0 '' "$lockstep" train job.yaml data.path=several.h5 output.path=several-run --progress none
expect 0 '' "$lockstep" export several-run -o several-out
python3 -c 'import json; assert json.load(open("several-out/config.json"))["eos_token_id"] == [2, 7]' || failed "the ends: $(cat several-out/config.json)"

# a prompt stands behind <s>, and so does the text that was prepared
"$lockstep" predict imported --input <(printf 'the text') -o a.h5 > /dev/null 2> err.txt || failed "predict: $(cat err.txt)"
expect 0 '' "$lockstep" predict imported --ids 1 -o b.h5
finish
