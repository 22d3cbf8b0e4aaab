#!/usr/bin/env bash
# BERT from a text to words: pieces of words, two segments a sample, hidden tokens; texts in pairs and tagged words.
# usage: cli_bert.sh PROGRAM
. "$(dirname "$0")/cli.inc"

printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the cat dog sat ran '##s' '##ting' on a mat . > vocab.txt
for i in $(seq 30); do
    printf 'The cats sat on a mat.\nThe cat ran.\n\nA dog ran on the mat.\nThe dogs sat.\n\n'
done > text.txt
expect 0 "" "$lockstep" prepare text text.txt -o text.h5 --tokenizer wordpiece --vocabulary vocab.txt
expect 0 "" "$lockstep" inspect text.h5
grep -q '^train documents  *5[0-9]' out.txt || failed "inspect does not count documents: $(cat out.txt)"
cat > bert.yaml <<'YAML'
model: {kind: bert, layers: 1, heads: 2, width: 16, context: 24, dropout: 0}
task: {kind: masked_language}
data: {kind: text, as: segments, path: text.h5}
train: {steps: 30, batch: 8, learning_rate: 5e-3, warmup: 2, schedule: constant, evaluate_every: 15, evaluate_batches: 0}
output: {path: runs/bert, save_every: 10}
YAML
expect 0 "next_accuracy" "$lockstep" train bert.yaml --progress lines
expect 0 "" "$lockstep" eval runs/bert --json
grep -q '"next_accuracy": [01]' out.txt && grep -q '"perplexity": ' out.txt || failed "scores: $(cat out.txt)"
expect 0 "" "$lockstep" train bert.yaml output.path=runs/parts train.steps=15 --progress none
expect 0 "going on" "$lockstep" train bert.yaml output.path=runs/parts --progress none
says 0 "equal" diff runs/parts runs/bert
expect 0 "" "$lockstep" train bert.yaml output.path=runs/windows data.as=windows train.steps=3 --progress none
expect 2 "do not follow" "$lockstep" train bert.yaml output.path=runs/no train.carry=true --progress none

# ---- Two texts a line, and tags of words that are several pieces
printf 'yes\tthe cats\tthe cat\nno\tthe dog\ta mat\nyes\ta mat\tthe mat\n' > pairs.tsv
expect 0 "" "$lockstep" prepare lines pairs.tsv -o pairs.h5 --second 3 --tokenizer wordpiece --vocabulary vocab.txt --validation 0
sed 's/^task:.*/task: {kind: classification, pool: first}/; s/^data:.*/data: {kind: lines, path: pairs.h5}/' bert.yaml > lines.yaml
expect 0 "" "$lockstep" train lines.yaml output.path=runs/lines train.steps=2 train.batch=2 train.evaluate_every=0 --progress none
printf 'cats\tB-x\nsatting\tO\n\nthe\tO\ndogs\tB-x\n.\tO\n' > tags.conll
expect 0 "" "$lockstep" prepare columns tags.conll --test tags.conll -o tags.h5 --tokenizer wordpiece --vocabulary vocab.txt --validation 0
cat > tags.yaml <<'YAML'
model: {kind: bert, layers: 1, heads: 2, width: 16, context: 24, dropout: 0}
task: {kind: tagging}
data: {kind: columns, path: tags.h5}
train: {steps: 2, batch: 2, evaluate_every: 0, warmup: 1}
output: {path: runs/tags}
YAML
expect 0 "" "$lockstep" train tags.yaml --progress none
says 0 "2 samples" predict runs/tags --input tags.h5 --split test -o tags.tsv --text
[ "$(cut -f 1-2 tags.tsv | tail -n +2 | tr '\t\n' ', ')" = "0,0 0,1 1,0 1,1 1,2 " ] || failed "predictions by word: $(cut -f 1-2 tags.tsv)"
finish
