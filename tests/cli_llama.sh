#!/usr/bin/env bash
# A Llama and a GPT-NeoX as a user has them: trained from text, exported in their Hugging Face layouts, gone on from that folder in
# another training, with a window, and said on with the same words whichever way the keys are read.
# usage: cli_llama.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 600 > text.txt
prepare text.h5 --tokenizer bytes --validation 0.2

# job FILE KIND 'SETTINGS' 'TRAIN' RUN
job()
{
    cat > "$1" <<JOB
model: {kind: $2${3:+, $3}}
data: {path: text.h5}
train: {steps: 6, batch: 4, warmup: 0, learning_rate: 1e-2, evaluate_every: 6, seed: 3$4}
output: {path: $5}
JOB
}

# whole KIND 'SETTINGS' ARCHITECTURE: trained, exported, begun with, generated from
whole()
{
    rm -rf run folder tuned back
    job first.yaml "$1" "$2" '' run
    expect 0 '' "$lockstep" train first.yaml --progress none
    says 0 "layout of \"$4\"" export run -o folder
    grep -q "\"$3\"" folder/config.json || failed "$1: config.json names no $3"
    # the folder's settings, and its weights: the loss goes on from where it was
    job second.yaml "$1" '' ', init: folder' tuned
    expect 0 '' "$lockstep" train second.yaml --progress none
    local ended began
    ended=$(sed -nE 's/.*"loss": ([0-9.]+).*/\1/p' run/metrics.jsonl | tail -1)
    began=$(sed -nE 's/.*"loss": ([0-9.]+).*/\1/p' tuned/metrics.jsonl | head -1)
    awk -v a="$ended" -v b="$began" 'BEGIN {exit !(b < a + 0.3)}' || failed "$1: ended at $ended, the next began at $began"
    says 0 'imported' import folder -o back
    for run in run back; do
        expect 0 '' "$lockstep" generate $run --prompt 'the cat' --tokens 40 --temperature 0
        mv out.txt $run.txt
    done
    cmp -s run.txt back.txt || failed "$1: the import says other words"
}
whole llama 'layers: 2, heads: 4, kv_heads: 2, width: 32, hidden: 48, context: 64' LlamaForCausalLM llama
whole llama 'layers: 2, heads: 4, kv_heads: 1, width: 32, hidden: 48, context: 64, window: 9, family: mistral' MistralForCausalLM mistral
whole llama 'layers: 1, heads: 2, head_size: 8, width: 32, hidden: 48, context: 64, qk_norm: true, family: qwen3' Qwen3ForCausalLM qwen3
whole gpt_neox 'layers: 2, heads: 2, width: 32, context: 64' GPTNeoXForCausalLM gpt_neox

# several ranks, recomputation and bfloat16 train it as one rank does
job ranks.yaml llama 'layers: 2, heads: 4, kv_heads: 2, width: 32, hidden: 48, context: 64' ', micro_batch: 1' ranks
rm -rf run && job first.yaml llama 'layers: 2, heads: 4, kv_heads: 2, width: 32, hidden: 48, context: 64' '' run
expect 0 '' "$lockstep" train first.yaml --progress none
expect 0 '' $mpirun -np 2 "$lockstep" train ranks.yaml --progress none
for run in run ranks; do sed -nE 's/.*"loss": ([0-9.]+).*/\1/p' $run/metrics.jsonl | tail -1; done | paste -s | \
    awk '{exit !($1 - $2 < 1e-4 && $2 - $1 < 1e-4)}' || failed "two ranks train otherwise"

# what cannot be
rm -rf folder && says 0 'layout of' export run -o folder
sed 's/"silu"/"gelu"/' folder/config.json > other && mv other folder/config.json
says 3 'key hidden_act: "gelu" is not supported' import folder -o never
[ -e never ] && failed "a refused import left something"
finish
