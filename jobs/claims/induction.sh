#!/usr/bin/env bash
# Claim: a selective scan that has learned to look up what followed a mark does so at any length (Gu and Dao 2023, "Mamba", table 2 and
# appendix: two layers trained at 256 steps are exact to 1,048,576; attention, whatever its positions, to twice its length at most).
#
#     jobs/claims/induction.sh        one seed, models of width 64; first at an eighth of the length, where the look-up is found sooner
#
# LENGTH=256 STEPS=400 BATCH=32 LENGTHS="64 256 512 1024 4096 16384 65536 262144 1048576" ATTENDED=16384 SAMPLES=64 OUT=runs/claims/induction
# MODELS="mamba learned rotary none" (the last three: attention with such positions, evaluated to ATTENDED steps, where its time ends)
OUT=${OUT:-runs/claims/induction}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"
length=${LENGTH:-256} steps=${STEPS:-400} batch=${BATCH:-32} samples=${SAMPLES:-64} attended=${ATTENDED:-16384}
lengths=${LENGTHS:-64 256 512 1024 4096 16384 65536 262144 1048576} models=${MODELS:-mamba learned rotary none}

cat > "$OUT/job.yaml" <<JOB
model: {kind: mamba, layers: 2, width: 64}
task: {kind: tagging}
data: {kind: generated, rule: induction, length: $length}
train: {steps: $steps, batch: $batch, learning_rate: 3e-3, min_learning_rate: 3e-4, warmup: 100, weight_decay: 0.01, clip: 1, seed: 1, evaluate_every: 0}
output: {save_every: 0, log_every: 50}
JOB

# exact MODEL LENGTH: the share of samples whose answer is right; "-" where the model cannot read so many steps
exact()
{
    local at_once=$((16384 / $2))
    [ "$1" != learned ] || [ "$2" -le "$length" ] || { echo -; return; }
    [ "$1" = mamba ] || [ "$2" -le "$attended" ] || { echo -; return; }
    [ $at_once -ge 1 ] || at_once=1
    [ $at_once -le "$samples" ] || at_once=$samples
    local taken=$samples
    [ "$2" -le 65536 ] || taken=$(((samples + 7) / 8)) # eight times fewer of the longest
    score "$OUT/$1" exact_match data.length="$2" train.batch=$at_once --batches $(((taken + at_once - 1) / at_once))
}

{
    printf 'trained at %s steps; share of exact answers by steps\n%-8s' "$length" model
    # shellcheck disable=SC2086
    printf '%9s' $lengths
    echo
    for name in $models; do
        change="model.kind=gpt model.heads=4 model.position=$name model.context=$attended"
        [ "$name" != learned ] || change="$change model.context=$length"
        [ "$name" != mamba ] || change=""
        # shellcheck disable=SC2086
        trained "$OUT/$name-short" "$OUT/job.yaml" $change data.length=$(((length + 7) / 8 < 4 ? 4 : (length + 7) / 8))
        # shellcheck disable=SC2086
        trained "$OUT/$name" "$OUT/job.yaml" $change train.init="$OUT/$name-short"
        printf '%-8s' "$name"
        curve "by-length-$name"
        for steps_read in $lengths; do
            value=$(exact "$name" "$steps_read")
            [ "$value" = - ] || point "by-length-$name" log2_length "$(log2 "$steps_read")" exact_match "$value"
            if [ "$value" = - ]; then printf '%9s' -; else printf '%9.3f' "$value"; fi
        done
        echo
    done
} | tee "$OUT/table.txt"
# shellcheck disable=SC2086
draw induction.svg log2_length exact_match "Induction heads, trained at $length steps" $(printf 'by-length-%s ' $models)
echo "Published: Mamba 100 % at every length to 1,048,576; attention to twice the length at most. Chance says 1 in 15."
