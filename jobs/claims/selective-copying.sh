#!/usr/bin/env bash
# Claim: what a model keeps must depend on what it reads. Selective copying (Gu and Dao 2023, "Mamba", table 1): Mamba says the symbols
# again, models that treat every step alike do not.
#
#     jobs/claims/selective-copying.sh        published: 4,096 steps; here 256, and models of one width
#
# LENGTH=256 ITEMS=16 STEPS=4000 BATCH=32 MODELS="mamba mingru lstm s4d" OUT=runs/claims/selective-copying
OUT=${OUT:-runs/claims/selective-copying}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"
length=${LENGTH:-256} items=${ITEMS:-16} steps=${STEPS:-4000} batch=${BATCH:-32}

cat > "$OUT/job.yaml" <<JOB
model: {kind: rnn}
task: {kind: tagging}
data: {kind: generated, rule: selective_copy, length: $length, items: $items}
train: {steps: $steps, batch: $batch, learning_rate: 2e-3, min_learning_rate: 2e-4, warmup: 100, weight_decay: 0.01, clip: 1, seed: 1,
        evaluate_every: $(((steps + 9) / 10)), evaluate_batches: 8}
output: {save_every: 0, log_every: 50}
JOB
declare -A model=(
    [mamba]="model.kind=mamba model.layers=2 model.width=64"
    [mingru]="model.kind=mingru model.layers=2 model.width=64"
    [lstm]="model.kind=rnn model.cell=lstm model.layers=2 model.width=128"
    [gru]="model.kind=rnn model.cell=gru model.layers=2 model.width=128"
    [s4d]="model.kind=s4d model.layers=2 model.width=64"
    [gpt]="model.kind=gpt model.layers=2 model.heads=4 model.width=64 model.context=8192 model.position=rotary"
) published=([mamba]="99.8 % (S6 layers in Mamba blocks)" [mingru]="99.5 % (3 layers; Feng et al. 2024)" [s4d]="18.3 % (S4, no gate), 57 % (H3's gate)"
    [lstm]="-" [gru]="-" [gpt]="-")

printf '%-8s %12s   %s\n' model "exact match" "published, 4,096 steps"
for name in ${MODELS:-mamba mingru lstm s4d}; do
    # shellcheck disable=SC2086
    trained "$OUT/$name" "$OUT/job.yaml" ${model[$name]}
    printf '%-8s %11.1f%%   %s\n' "$name" "$(awk -v x="$(score "$OUT/$name" exact_match)" 'BEGIN {print 100 * x}')" "${published[$name]}"
done | tee "$OUT/table.txt"
# shellcheck disable=SC2086
draw selective-copying.svg step validation_exact_match "Selective copying, $length steps" ${MODELS:-mamba mingru lstm s4d}
