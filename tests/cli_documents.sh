#!/usr/bin/env bash
# Samples of several documents that do not see each other (data.mask: documents of texts, data.pack: true of conversations): trained, resumed to the
# bit, over ranks, in micro-batches, with LoRA; evaluated with and without the mask; and what is refused before anything is written.
# usage: cli_documents.sh PROGRAM
. "$(dirname "$0")/cli.inc"

mkdir texts
for i in $(seq 120); do printf 'text %d of %d: to be or not to be, %d times' "$i" $((i * 7)) $((i * i % 17)) | head -c $((9 + i * i % 37)) > "texts/$(printf %03d "$i").txt"; done
expect 0 '' "$lockstep" prepare text texts -o texts.h5 --separator '\n\n' --hold-out documents --validation 0.2
expect 0 'nothing stands between' "$lockstep" prepare text texts -o joined.h5 --hold-out documents --validation 0.2
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 2, heads: 2, width: 16, context: 64}
data: {path: texts.h5, mask: documents}
train: {steps: 6, batch: 12, warmup: 0, learning_rate: 1e-2, seed: 5, evaluate_every: 3, schedule: constant}
output: {path: runs/masked, save_every: 3}
JOB
loss() { "$lockstep" eval "$@" --json 2> err.txt | sed -nE 's/.*"loss": ([-0-9.e]*).*/\1/p' | head -n 1; }
near() { awk "BEGIN {d = $1 - $2; exit !(d < $3 && d > -$3)}"; }

# ---- trained: the same resumed, in micro-batches, with recomputation, over ranks
expect 0 '' "$lockstep" train job.yaml --progress none
expect 0 '' "$lockstep" train job.yaml data.mask=none output.path=runs/none --progress none
says 1 'loss' diff runs/masked runs/none
expect 0 '' "$lockstep" train job.yaml output.path=runs/parts train.steps=3 --progress none
expect 0 'going on' "$lockstep" train job.yaml output.path=runs/parts --progress none
says 0 'equal' diff runs/masked runs/parts
masked=$(loss runs/masked)
for ranks in 2 3; do
    expect 0 '' $mpirun -np $ranks "$lockstep" train job.yaml output.path=runs/ranks$ranks train.micro_batch=2 --progress none
    near "$(loss runs/ranks$ranks)" "$masked" 1e-4 || failed "over $ranks ranks: $(loss runs/ranks$ranks), alone $masked"
done
expect 2 'data.mask: documents in the checkpoint, none now' "$lockstep" train job.yaml data.mask=none train.steps=9 --progress none
for kind in "llama model.window=20" "gpt_neox model.heads=1" "gpt model.position=sinusoidal" "llama train.precision=bfloat16"; do
    rm -rf runs/other
    expect 0 '' "$lockstep" train job.yaml model.kind=$kind output.path=runs/other --progress none
done
expect 0 '' "$lockstep" train job.yaml output.path=runs/tuned train.init=runs/none lora.rank=2 lora.targets=qkv --progress none

# ---- evaluated: with the run's own mask, and with another; a text alone is one document
near "$(loss runs/masked data.mask=none)" "$masked" 1e-7 && failed "the mask changes nothing: $masked"
near "$(loss runs/none data.mask=documents)" "$(loss runs/none)" 1e-7 && failed "the mask changes nothing of a run without"
near "$(loss runs/masked --input texts/100.txt)" "$(loss runs/masked data.mask=none --input texts/100.txt)" 1e-7 ||
    failed "one document: $(loss runs/masked --input texts/100.txt), $(loss runs/masked data.mask=none --input texts/100.txt)"
last() { sed -nE 's/.*"validation_loss": ([-0-9.e]*).*/\1/p' "$1/metrics.jsonl" | tail -1; }
near "$(last runs/masked)" "$masked" 1e-6 || failed "validation $(last runs/masked), eval $masked"
printf '{"text": "one"}\n{"text": "and two"}\n' > two.jsonl
expect 2 'nothing says where a document of two.jsonl ends' "$lockstep" eval runs/masked --input two.jsonl --field text
expect 0 '' "$lockstep" generate runs/masked --prompt 'to be' --tokens 5
expect 0 '' "$lockstep" predict runs/masked --ids 1,2,3 -o out.h5
expect 0 '' "$lockstep" bench job.yaml --steps 2

# ---- a separator that is a token, and one that the tokenizer has by itself
expect 0 '' "$lockstep" prepare text texts -o end.h5 --tokenizer words --hold-out documents --validation 0.2
expect 0 '' "$lockstep" train job.yaml data.path=end.h5 output.path=runs/end --progress none
expect 0 '' "$lockstep" eval runs/end --input texts/100.txt --input texts/101.txt

# ---- conversations: packed they are what they are alone
for i in $(seq 60); do
    printf '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "%s"}]}\n' "${i}th" "$(head -c $((1 + i * i % 23)) <<< 'to be or not to be, that is')"
done > talk.jsonl
expect 0 '' "$lockstep" prepare chat talk.jsonl -o talk.h5 --validation 0.3 --user '?' --assistant '>' --end '.'
sed 's/context: 64/context: 100/; s/data: .*/data: {kind: chat, path: talk.h5, pack: true}/' job.yaml > chat.yaml
expect 0 '' "$lockstep" train chat.yaml output.path=runs/packed --progress none
expect 0 '' "$lockstep" train chat.yaml output.path=runs/unpacked data.pack=false --progress none
for run in packed unpacked; do
    near "$(loss runs/$run data.pack=true)" "$(loss runs/$run data.pack=false)" 2e-6 ||
        failed "conversations of $run: packed $(loss runs/$run data.pack=true), alone $(loss runs/$run data.pack=false)"
done
expect 0 '' "$lockstep" train chat.yaml output.path=runs/sorted train.length_step=16 --progress none
expect 0 '' $mpirun -np 2 "$lockstep" train chat.yaml output.path=runs/packed2 --progress none
near "$(loss runs/packed2)" "$(loss runs/packed)" 1e-4 || failed "packed over 2 ranks: $(loss runs/packed2), alone $(loss runs/packed)"
expect 0 '' "$lockstep" generate runs/packed --message hello --tokens 5
expect 2 'do not fit model.kind mamba: its op' "$lockstep" train chat.yaml model.heads= model.kind=mamba output.path=runs/refused
[ ! -e runs/refused ] || failed "packed conversations: refused, and runs/refused is there"

# ---- refused, with nothing written
refused() { # TEXT ARGUMENT...
    local text=$1
    shift
    expect 2 "$text" "$lockstep" train job.yaml output.path=runs/refused "$@"
    [ ! -e runs/refused ] || failed "$*: refused, and runs/refused is there"
}
refused 'nothing says where a document of joined.h5 ends; prepare it with --separator TEXT' data.path=joined.h5
for model in mamba "mamba2 model.head_dim=4" mingru minlstm rnn rwkv4 "rwkv7 model.head=4" "hybrid model.layers=ma model.attention_heads=2" s4d; do
    refused "do not fit model.kind ${model%% *}: its op" model.heads= model.kind=$model
done
refused 'do not fit model.kind transformer_xl: its op' model.kind=transformer_xl
refused 'rotary needs whole sequences' model.kind=llama train.segment=16
refused 'data.as is segments' data.as=segments
expect 2 'needs whole sequences' $mpirun -np 2 "$lockstep" train job.yaml output.path=runs/refused train.sequence_ranks=2
[ ! -e runs/refused ] || failed "ranks that share sequences: refused, and runs/refused is there"
finish
