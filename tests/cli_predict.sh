#!/usr/bin/env bash
# import, predict, export: shapes, bad input, exit status, and that a model that goes out and comes back in says the same to the bit.
# (What the numbers must be is tested in test_predict.c.)
# usage: cli_predict.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# ---- a model without tokenizer
says 0 'imported' import "$fixtures/gpt2-tiny" -o gpt2
says 2 'gpt2' import "$fixtures/gpt2-tiny" -o gpt2 # has a checkpoint already
says 3 'nowhere' import nowhere -o other
says 0 'step  ' inspect gpt2/checkpoints/step-00000000.h5
says 0 '/output (1, 5, 37) float32' predict gpt2 --ids 1,2,3,4,5 -o five.h5
says 2 '--ids: token id 37 at position 1 is outside the model' predict gpt2 --ids 3,37 -o x.h5
says 2 "token ids: 'two' is not a number" predict gpt2 --ids 1,two -o x.h5
says 2 'token ids: there are none' predict gpt2 --ids '' -o x.h5
says 2 'give either --input FILE or --ids' predict gpt2 -o x.h5
says 2 '--text: the logits of task language are numbers only' predict gpt2 --ids 1 -o x.tsv --text
says 2 '--window changes nothing beside --ids: leave one of them out' predict gpt2 --ids 1,2 --window 1 -o x.h5
says 2 'give either --input FILE or --ids' predict gpt2 --ids 1 --input x -o x.h5
says 2 '--output OUT.h5 is missing' predict gpt2 --ids 1
says 2 'is longer than model.context' predict gpt2 --ids "$(seq -s, 1 33 | sed 's/[0-9]*/1/g')" -o x.h5
printf 'words\n' > text.txt
says 2 'has no tokenizer' predict gpt2 --input text.txt -o x.h5
says 4 'nowhere' predict nowhere --ids 1 -o x.h5
says 2 'text.txt' predict gpt2 --ids 1 -o text.txt/x.h5
ls x.h5* > /dev/null 2>&1 && failed "failed predictions left: $(ls x.h5*)"

# ---- a model with one
printf 'A rolling stone gathers no moss.\n%.0s' {1..30} > text.txt
: > empty.txt
prepare text.h5 --tokenizer characters
prepare bytes.h5 --tokenizer bytes
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 16}
data: {path: text.h5}
train: {steps: 2, batch: 2, warmup: 1, evaluate_batches: 1}
output: {path: run}
JOB
"$lockstep" train job.yaml > err.txt 2>&1 || failed "train: $(cat err.txt)"
characters=$(sed -n 's/^vocabulary  *//p' <("$lockstep" inspect text.h5))
says 0 "/output (62, 16, $characters) float32, logits of 990 tokens" predict run --input text.txt -o text-output.h5
says 0 "/output (99, 10, $characters)" predict run --input text.txt --window 10 -o text-output.h5
says 0 "/output (7, 16, $characters) float32, logits of 99 tokens" predict run --input text.h5 -o text-output.h5
says 0 "logits of 891 tokens" predict run --input text.h5 --split train -o text-output.h5
says 3 'has another tokenizer (bytes, 256 tokens' predict run --input bytes.h5 -o x.h5
says 3 'empty.txt' predict run --input empty.txt -o x.h5
says 3 'missing.txt' predict run --input missing.txt -o x.h5
printf 'A strange $ign\n' > strange.txt
says 3 'strange.txt' predict run --input strange.txt -o x.h5

# ---- out and in again
says 0 'exported' export run -o exported
[ -s exported/model.safetensors ] && [ -s exported/config.json ] && [ -s exported/tokenizer.json ] || failed "exported: $(ls exported)"
says 0 'imported' import exported -o back
says 0 "/output (2, 16, $characters)" predict back --input <(head -c 32 text.txt) -o text-output.h5
says 2 'is longer than model.context' predict back --input text.txt --window 32 -o x.h5
says 4 'nowhere' export nowhere -o x
mkdir one two
cp run/checkpoints/step-00000002.h5 one/checkpoint.h5
cp back/checkpoints/step-00000000.h5 two/checkpoint.h5
"$lockstep" diff one/checkpoint.h5 two/checkpoint.h5 --all > out.txt 2>&1
grep -q 'parameters/.*[0-9]$' out.txt && failed "parameters changed on the way out and in: $(cat out.txt)"
grep -q 'optimizer/m/.*only in the first' out.txt || failed "moments should be missing after import: $(cat out.txt)"

finish
