#!/usr/bin/env bash
# Claim: a model of constant state generates several times faster than attention of equal size (Gu and Dao 2023: 4 to 5 times, on a GPU, as
# its memory holds more streams). GPT, Mamba, Mamba-2 and RWKV of 130 million parameters, weights as before training: tokens a second by
# context and by streams, and with as many streams as fit the same memory.
#
#     jobs/claims/generation.sh        on a machine that does nothing else
#
# CONTEXTS="100 1000 4000" STREAMS="1 8" MEMORY=2 (GiB, parameters included) CONTEXT=2000 TOKENS=8 MODELS="gpt mamba mamba2 rwkv7" LAYERS= WIDTH=
# OUT=runs/claims/generation. LAYERS and WIDTH make other models than those of 130M.
OUT=${OUT:-runs/claims/generation}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"
contexts=${CONTEXTS:-100 1000 4000} streams=${STREAMS:-1 8} memory=${MEMORY:-2} context=${CONTEXT:-2000} tokens=${TOKENS:-8}
models=${MODELS:-gpt mamba mamba2 rwkv7}

cat > "$OUT/job.yaml" <<JOB
model: {kind: mamba, width: ${WIDTH:-768}, vocabulary: 50257}
data: {path: none.h5}
train: {steps: 1, batch: 1, learning_rate: 1e-3, precision: bfloat16}
output: {path: $OUT/none}
JOB
declare -A model=(
    [gpt]="model.kind=gpt model.layers=${LAYERS:-12} model.heads=12 model.context=65536 model.position=rotary"
    [mamba]="model.kind=mamba model.layers=${LAYERS:-24}"
    [mamba2]="model.kind=mamba2 model.layers=${LAYERS:-24}"
    [rwkv7]="model.kind=rwkv7 model.layers=${LAYERS:-12} model.context=65536"
)

# generated MODEL CONTEXT STREAMS: the file of what `bench --generate` said
generated()
{
    # shellcheck disable=SC2086
    measured "$1-$2-$3" "$1, $2 tokens before, $3 streams" --generate --steps "$tokens" --prompt "$2" --streams "$3" ${model[$1]}
}

# fitting MODEL: streams whose states and the parameters fit MEMORY, by what one takes
fitting()
{
    local one
    one=$(generated "$1" "$context" 1)
    awk -v memory="$memory" -v parameters="$(value "$one" parameter_bytes)" -v state="$(value "$one" state_bytes)" \
        'BEGIN {n = int((memory * 2^30 - parameters) / state); print (n < 1 ? 1 : (n > 256 ? 256 : n))}'
}

{
    printf 'tokens a second, by tokens before and streams at once\n%-8s' model
    for n in $streams; do for c in $contexts; do printf '%12s' "$c x $n"; done; done
    printf '%12s %s\n' "${memory} GiB" "(streams, after $context tokens)"
    for name in $models; do
        printf '%-8s' "$name"
        for n in $streams; do
            curve "$name-$n"
            for c in $contexts; do
                rate=$(value "$(generated "$name" "$c" "$n")" items_per_second)
                point "$name-$n" context "$c" tokens_per_second "$rate"
                printf '%12.1f' "$rate"
            done
        done
        most=$(fitting "$name")
        printf '%12.1f (%s)\n' "$(value "$(generated "$name" "$context" "$most")" items_per_second)" "$most"
    done
} | tee "$OUT/table.txt"
curves=$(for name in $models; do for n in $streams; do echo "$name-$n"; done; done)
# shellcheck disable=SC2086
draw generation.svg context tokens_per_second "Tokens a second by context and streams" $curves --logarithmic
