#!/usr/bin/env bash
# Claim: a plain recurrent network forgets, an LSTM holds on for some 300 steps, attention and selective scans reach further. Copy memory
# (what was said so many steps ago) and the adding problem, each model trained at each length with the same budget.
#
#     jobs/claims/memory.sh
#
# LENGTHS="50 100 200 300 500 1000" STEPS=1000 BATCH=32 MODELS="tanh lstm gru mingru s4d mamba attention" RULES="copy adding" OUT=runs/claims/memory
# The adding problem has numbers for inputs, which Mamba and GPT do not take: it is for the others.
OUT=${OUT:-runs/claims/memory}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"
lengths=${LENGTHS:-50 100 200 300 500 1000} steps=${STEPS:-1000} batch=${BATCH:-32}
models=${MODELS:-tanh lstm gru mingru s4d mamba attention}

cat > "$OUT/job.yaml" <<JOB
model: {kind: rnn}
data: {kind: generated}
train: {steps: $steps, batch: $batch, learning_rate: 2e-3, min_learning_rate: 2e-4, warmup: 50, weight_decay: 0.01, clip: 1, seed: 1, evaluate_every: 0}
output: {save_every: 0, log_every: 50}
JOB
declare -A model=(
    [tanh]="model.kind=rnn model.cell=tanh model.layers=1 model.width=128"
    [lstm]="model.kind=rnn model.cell=lstm model.layers=1 model.width=128"
    [gru]="model.kind=rnn model.cell=gru model.layers=1 model.width=128"
    [mingru]="model.kind=mingru model.layers=2 model.width=64"
    [s4d]="model.kind=s4d model.layers=2 model.width=64"
    [mamba]="model.kind=mamba model.layers=2 model.width=64"
    [attention]="model.kind=gpt model.layers=2 model.heads=4 model.width=64 model.context=2048"
)
declare -A task=([copy]=tagging [adding]=regression) metric=([copy]=exact_match [adding]=rmse)

for rule in ${RULES:-copy adding}; do
    [ "$rule" != adding ] || models=$(printf '%s\n' $models | grep -vxE 'mamba|attention')
    printf '%s: %s by steps\n%-10s' "$rule" "${metric[$rule]}" model
    printf '%9s' $lengths
    echo
    for name in $models; do
        printf '%-10s' "$name"
        curve "$rule-$name"
        for length in $lengths; do
            run=$OUT/$rule-$name-$length
            # shellcheck disable=SC2086
            trained "$run" "$OUT/job.yaml" data.rule=$rule data.length=$length task.kind=${task[$rule]} ${model[$name]}
            value=$(score "$run" "${metric[$rule]}")
            point "$rule-$name" length "$length" "${metric[$rule]}" "$value"
            printf '%9.3f' "$value"
        done
        echo
    done
    # shellcheck disable=SC2086
    draw "$rule.svg" length "${metric[$rule]}" "$rule: what is left after so many steps" $(printf "$rule-%s " $models)
done | tee "$OUT/table.txt"
echo "copy: chance says 0.125; adding: saying 1 for every sum is off by 0.408. Published (the texts): a plain network fails first, an LSTM at some 300 steps."
