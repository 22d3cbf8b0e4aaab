#!/usr/bin/env bash
# eval, generate and bench on a small trained run, as a user calls them.
# usage: cli_generate.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# field NAME: a number of the JSON in out.txt
field() { sed -n "s/^ *\"$1\": *\([-0-9.e+]*\),\{0,1\}$/\1/p" out.txt | head -1; }

for i in $(seq 120); do echo "Über $i Wölfe: 🐺 und 你好, the wolves count to $((i % 7)) and sleep."; done > text.txt
prepare data.h5 --tokenizer bytes --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: mamba, layers: 1, width: 32, context: 32}
data: {path: data.h5}
train: {steps: 120, batch: 8, sequence: 32, warmup: 10, learning_rate: 1e-2, evaluate_every: 60, evaluate_batches: 0}
output: {path: run, save_every: 60, keep: 5}
JOB
expect 0 'validation loss' "$lockstep" train job.yaml

# ---- eval: what the metrics say, on any number of ranks
logged=$(sed -n 's/.*"validation_loss": \([^,]*\),.*/\1/p' run/metrics.jsonl | tail -1)
for ranks in 1 2 3; do
    expect 0 '' $mpirun -np $ranks "$lockstep" eval run --json
    awk -v a="$logged" -v b="$(field loss)" 'BEGIN { exit !(a > 0 && a / b - 1 < 1e-5 && b / a - 1 < 1e-5) }' ||
        failed "$ranks ranks: eval says $(field loss), the metrics $logged"
    awk -v a="$(field loss)" -v b="$(field bits_per_byte)" 'BEGIN { exit !(b * log(2) / a - 1 < 1e-9 && a / (b * log(2)) - 1 < 1e-9) }' ||
        failed "bits per byte: $(cat out.txt)"
done
expect 0 '' "$lockstep" eval run --split train --batches 2
grep -q 'after step 120, train: loss .*(512 tokens' out.txt || failed "eval --split train: $(cat out.txt)"
expect 0 '' "$lockstep" eval run/checkpoints/step-00000060.h5 --batches 1
grep -q 'after step 60, validation' out.txt || failed "eval of a checkpoint: $(cat out.txt)"
expect 0 '' "$lockstep" eval run --best --batches 1
expect 4 'nowhere' "$lockstep" eval nowhere
expect 3 'missing.h5' "$lockstep" eval run data.path=missing.h5

expect 2 '--special: the tokenizer bytes has no special tokens' "$lockstep" generate run --prompt W --special

# ---- generate: whole characters as they come; the same seed, the same text
expect 0 'tokens per second' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3
cp out.txt first.txt
head -c 6 first.txt | grep -q '^Über ' || failed "the prompt does not come first: $(cat first.txt)"
iconv -f UTF-8 -t UTF-8 first.txt > /dev/null 2>&1 || failed "not UTF-8: $(cat first.txt)"
bytes=$(wc -c < first.txt) # 6 of the prompt, 80, a newline, less a character that is not complete
[ "$bytes" -le 87 ] && [ "$bytes" -ge 84 ] || failed "80 bytes after 6 of the prompt are $bytes"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3
cmp -s out.txt first.txt || failed "the same seed gives another text"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 4
cmp -s out.txt first.txt && failed "another seed gives the same text"
OMP_NUM_THREADS=2 expect 0 '' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3
cmp -s out.txt first.txt || failed "two threads give another text"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3 --batch 3
[ "$(grep -c '^--- [123] ---$' out.txt)" = 3 ] || failed "a batch of three: $(cat out.txt)"
sed -n '2,/^--- 2 ---$/p' out.txt | sed '$d' | cmp -s - first.txt || failed "the first of a batch is not the one alone: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --ids 195,156,98 --tokens 5 --temperature 0
grep -Eq '^[0-9]+(,[0-9]+){4}$' out.txt || failed "--ids: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --prompt 'W' --tokens 30 --top-k 5 --top-p 0.9
for precision in run float; do
    expect 0 '' "$lockstep" generate run --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3 --precision $precision
    cmp -s out.txt first.txt || failed "--precision $precision of a run in float gives another text"
done
for precision in bfloat16 int8; do
    expect 0 'tokens per second' "$lockstep" generate run --prompt 'Über ' --tokens 20 --temperature 0.5 --seed 3 --precision $precision
    head -c 6 out.txt | grep -q '^Über ' || failed "--precision $precision: $(cat out.txt)"
done
expect 2 'run|float|bfloat16|int8' "$lockstep" generate run --prompt a --precision int4
expect 2 'prompt TEXT is missing' "$lockstep" generate run
expect 2 'give one of them' "$lockstep" generate run --prompt a --ids 1
expect 2 "'x' is not a number" "$lockstep" generate run --ids 1,x
for ids in 1,,2 ,1 1, '1, ,2' '1 2,'; do expect 2 'token ids: ' "$lockstep" generate run --ids "$ids"; done
expect 0 '' "$lockstep" generate run --ids ' 1, 2 3' --tokens 1
expect 2 'token 300 at place 1' "$lockstep" generate run --ids 1,300
expect 2 '--top-p' "$lockstep" generate run --prompt a --top-p 2
expect 2 'prompt is empty' "$lockstep" generate run --prompt ''
expect 4 'there is no checkpoint' "$lockstep" generate . --prompt a
"$lockstep" generate run --prompt W --tokens 100000 2> err.txt | head -c 100 > out.txt
[ "$(wc -c < out.txt)" = 100 ] || failed "into a closed pipe: $(cat err.txt)"
printf '\xff' > bytes.txt # a stray byte is printed as it is
expect 0 '' "$lockstep" generate run --prompt "$(cat bytes.txt)" --tokens 3

# ---- the same model in bfloat16
expect 0 '' "$lockstep" eval run train.precision=bfloat16 --json
awk -v a="$logged" -v b="$(field loss)" 'BEGIN { exit !(a != b && a / b - 1 < 1 / 256 && b / a - 1 < 1 / 256) }' ||
    failed "eval in bfloat16 says $(field loss), in float $logged"
expect 0 '' "$lockstep" generate run train.precision=bfloat16 --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3
cp out.txt coarse.txt
expect 0 '' "$lockstep" generate run train.precision=bfloat16 --prompt 'Über ' --tokens 80 --temperature 0.5 --seed 3
cmp -s out.txt coarse.txt || failed "the same seed gives another text in bfloat16"

end_of_repetition

# ---- prompts from files, several of them, and what ends a text
printf 'Über \n' > prompt.txt
same=(--tokens 80 --temperature 0.5 --seed 3)
expect 0 '' "$lockstep" generate run --prompt-file prompt.txt "${same[@]}"
cmp -s out.txt first.txt || failed "--prompt-file gives another text: $(cat out.txt)"
run_for 0 "$lockstep" generate run --prompt-file <(cat prompt.txt) "${same[@]}"
cmp -s out.txt first.txt || failed "a prompt of another program's output: $(cat out.txt)"
expect 3 'this is a pipe or a device' "$lockstep" generate run --prompt-file /dev/zero
(limit_memory 4000000; run_for 3 "$lockstep" generate run --prompt-file <(cat /dev/zero); exit $failures) || failures=$((failures + 1))
grep -q 'more than 256 MiB came through this pipe' err.txt || failed "a pipe without an end: $(cat err.txt)"
expect 2 'standard input is read once' "$lockstep" generate run --prompt-file - --prompt-file -
"$lockstep" generate run --prompt-file - "${same[@]}" < prompt.txt 2> err.txt | cmp -s - first.txt || failed "a prompt from standard input"
expect 0 '' "$lockstep" generate run --prompt wolves "${same[@]}"
cp out.txt second.txt
expect 0 'prompts: 12 tokens in' "$lockstep" generate run --prompt 'Über ' --prompt wolves "${same[@]}"
cat <(echo '--- 1 ---') first.txt <(echo '--- 2 ---') second.txt | cmp -s - out.txt || failed "two prompts are not as each alone: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --prompt wolves --prompt-file prompt.txt --batch 2 "${same[@]}"
[ "$(grep -c '^--- [1-4] ---$' out.txt)" = 4 ] && sed -n '/^--- 3 ---$/,/^--- 4 ---$/p' out.txt | sed '1d;$d' | cmp -s - first.txt ||
    failed "two prompts of two: $(cat out.txt)"
said=$(tail -c +7 first.txt) # behind the prompt
stop=$(grep -oE '[a-z]{3}' <<< "$said" | head -1)
[ -n "$stop" ] || failed "no word to stop at: $said"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --stop "$stop" "${same[@]}"
{ head -c 6 first.txt; printf '%s\n' "${said%%"$stop"*}"; } | cmp -s - out.txt || failed "--stop $stop: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --stop 'not there' --stop "$stop" --batch 2 "${same[@]}"
{ head -c 6 first.txt; printf '%s\n' "${said%%"$stop"*}"; } | cmp -s - <(sed -n '2,/^--- 2 ---$/p' out.txt | sed '$d') || failed "--stop in a batch: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --prompt "$stop" --stop "$stop" --tokens 1 # the prompt is not looked at
grep -q "^$stop" out.txt || failed "a stop in the prompt: $(cat out.txt)"
expect 0 '' "$lockstep" generate run --prompt 'Über ' --stop "$stop and more that never comes" "${same[@]}"
cmp -s out.txt first.txt || failed "the beginning of a stop is not printed: $(cat out.txt)"
expect 2 '--stop is empty' "$lockstep" generate run --prompt a --stop ''
expect 2 '--stop is a text' "$lockstep" generate run --ids 1 --stop a
expect 3 'missing.txt' "$lockstep" generate run --prompt-file missing.txt
# bytes of any value, zeros among them, stand in JSON: every byte that is no character as one
expect 0 '' "$lockstep" generate run --prompt W --tokens 2000 --temperature 1e6 --json
python3 - <<'PY' || failed "bytes of any value: $(head -c 300 out.txt)"
import json
row, = json.load(open("out.txt"))
zeros = row["tokens"].count(0)
assert zeros > 0 and row["text"].count("\0") == zeros and 1500 < len(row["text"]) <= 2000, (zeros, len(row["text"]))
PY
# ... and in the samples of a training no zeros, at which readers of its rows would stop
expect 0 '' "$lockstep" train job.yaml output.path=zeros train.steps=2 train.sample_every=2 'train.sample_prompts=[W]' train.sample_tokens=2000 \
    train.sample_temperature=1000
python3 - <<'PY' || failed "samples of any bytes: $(tail -c 300 zeros/metrics.jsonl)"
import json
text, = [text for line in open("zeros/metrics.jsonl") for text in json.loads(line).get("samples", [])]
assert 1500 < len(text) <= 2001 and "\0" not in text, len(text)
PY
expect 0 '' "$lockstep" report zeros -o zeros.html
grep -q 'no rows' err.txt && failed "the report of samples of any bytes: $(cat err.txt)"
: > nothing.txt
expect 2 'nothing.txt: generate: the prompt is empty' "$lockstep" generate run --prompt-file nothing.txt

# ---- bench: the fields that programs read
expect 2 'bench: --streams changes nothing without --generate' "$lockstep" bench job.yaml --synthetic --streams 2
expect 2 'bench: --products changes nothing beside --generate' "$lockstep" bench job.yaml --generate --products
expect 0 '' $mpirun -np 2 "$lockstep" bench job.yaml --synthetic --steps 3 --json
for name in parameters step_seconds_median step_seconds_min items_per_second gflops peak_gflops share_of_peak memory_bytes ranks threads; do
    awk -v x="$(field $name)" 'BEGIN { exit !(x > 0) }' || failed "bench --json: $name is '$(field $name)'"
done
grep -q '"precision": "float"' out.txt || failed "bench --json: no precision"
for name in name calls seconds gflops gbytes; do
    [ "$(grep -c "^ *\"$name\": " out.txt)" -ge 5 ] || failed "bench --json: ops without $name"
done
for name in step_seconds_mean roofline_share slowest_rank processor_share hidden_share without_overlap_step_seconds bandwidth moments; do
    grep -q "^ *\"$name\": " out.txt || failed "bench --json: no $name"
done
# the rows are the step
awk '/^ *"ops": \[/ { on = 1 } /^  \]/ { on = 0 } on && /^ *"share":/ { gsub(",", ""); sum += $2 } END { exit !(sum > 0.999 && sum < 1.001) }' out.txt ||
    failed "bench --json: the rows are not the step"
[ "$(field ranks)" = 2 ] || failed "bench --json: ranks $(field ranks)"
# generation is timed of the data set's vocabulary, and its prompt fits the context of the job and of a run
for job in job.yaml run/config.yaml; do
    expect 0 '' "$lockstep" bench $job --generate --json model.context=64
    [ "$(field prompt)" = 51 ] || failed "bench --generate $job: a prompt of $(field prompt) tokens"
done
expect 0 '' "$lockstep" bench job.yaml --generate --json model.kind=gpt model.heads=2 model.context=16
[ "$(field prompt)" = 3 ] || failed "bench --generate: a prompt of $(field prompt) tokens"
expect 0 '' "$lockstep" bench job.yaml --generate --json model.context=256
[ "$(field prompt)" = 100 ] || failed "bench --generate: a prompt of $(field prompt) tokens"
expect 2 'give model.vocabulary, or --synthetic' "$lockstep" bench job.yaml --generate data.path=
expect 0 '' "$lockstep" bench job.yaml --generate --synthetic data.path=
expect 0 '' "$lockstep" bench job.yaml --steps 2 train.steps=1
grep -q 'selective_scan' out.txt && grep -q '(optimizer)' out.txt || failed "bench: $(cat out.txt)"
grep -q '^sum of the rows .* 100.0%$' out.txt && grep -q '^critical path' out.txt || failed "bench: $(cat out.txt)"
awk 'length > 110' out.txt | grep -q . && failed "bench prints lines over 110 columns: $(cat out.txt)"
expect 0 'one file a rank' $mpirun -np 2 "$lockstep" bench job.yaml --steps 2 --products --trace trace.json
grep -q 'limit of the step by products alone' out.txt || failed "bench --products: $(cat out.txt)"
for rank in 0 1; do
    [ "$(head -c 2 trace.$rank.json)" = '[' ] && [ "$(tail -n 1 trace.$rank.json)" = ']' ] && grep -q '"labels":"complete"' trace.$rank.json ||
        failed "the trace of rank $rank has no end"
    for category in forward backward optimizer communication data step; do
        grep -q "\"pid\":$rank,.*\"cat\":\"$category\"" trace.$rank.json || failed "the trace of rank $rank has no $category"
    done
done
expect 2 'no/such' "$lockstep" bench job.yaml --steps 1 --trace no/such/trace.json
[ -e run/metrics.jsonl ] && [ "$(wc -l < run/metrics.jsonl)" = 120 ] || failed "bench wrote to the run folder"

expect 0 '' "$lockstep" bench job.yaml --synthetic --steps 1 --json train.precision=bfloat16
grep -q '"precision": "bfloat16"' out.txt || failed "bench --json: not in bfloat16"

# ---- a bar on a terminal, with colours unless NO_COLOR
if command -v script > /dev/null; then
    rm -r run
    script -qec "'$lockstep' train job.yaml train.steps=30" typed.txt > /dev/null < /dev/null
    LC_ALL=C grep -q $'\r\033\\[K30/30 .*\033\\[36m' typed.txt || failed "no bar on a terminal: $(head -c 600 typed.txt)"
    rm -r run
    NO_COLOR=1 script -qec "'$lockstep' train job.yaml train.steps=30" typed.txt > /dev/null < /dev/null
    LC_ALL=C grep -q $'30/30 .*loss' typed.txt || failed "no bar without colours: $(head -c 600 typed.txt)"
    LC_ALL=C grep -q $'\033\\[3' typed.txt && failed "colours in spite of NO_COLOR"
fi

finish
