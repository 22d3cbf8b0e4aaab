#!/usr/bin/env bash
# Claim: a recurrence without a nonlinearity between steps is a scan, whose steps are computed side by side; an LSTM waits for each of them.
# A training step's time by length and by threads, at an equal number of tokens a step: with them side by side the time stays, one by
# one it grows.
#
#     jobs/claims/parallel-in-time.sh        on a machine that does nothing else
#
# LENGTHS="64 256 1024 4096" TOKENS=4096 THREADS="1 2" STEPS=5 MODELS="lstm mingru mamba attention" WIDTH=256 OUT=runs/claims/parallel-in-time
# TOKENS are those of a step: sequences of LENGTH, as many as make TOKENS. THREADS: from 1 to the cores, doubled, if not given.
OUT=${OUT:-runs/claims/parallel-in-time}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"
lengths=${LENGTHS:-64 256 1024 4096} tokens=${TOKENS:-4096} steps=${STEPS:-5} width=${WIDTH:-256} models=${MODELS:-lstm mingru mamba attention}
if [ -z "${THREADS:-}" ]; then
    for ((n = 1; n <= $(nproc); n *= 2)); do THREADS="${THREADS:-} $n"; done
fi

cat > "$OUT/job.yaml" <<JOB
model: {kind: rnn, layers: 2, width: $width, vocabulary: 256}
data: {path: none.h5}
train: {steps: 1, batch: 1, learning_rate: 1e-3}
output: {path: $OUT/none}
JOB
declare -A model=(
    [lstm]="model.kind=rnn model.cell=lstm"
    [mingru]="model.kind=mingru"
    [mamba]="model.kind=mamba"
    [attention]="model.kind=gpt model.heads=4 model.context=65536 model.position=rotary"
)

# took MODEL LENGTH THREADS: milliseconds of a step
took()
{
    local file
    # shellcheck disable=SC2086
    file=$(OMP_NUM_THREADS=$3 measured "$1-$2-$3" "$1, $2 steps, $3 threads" --synthetic --steps "$steps" train.sequence="$2" \
        train.batch=$((tokens / $2)) ${model[$1]})
    value "$file" step_seconds_median | awk '{print 1000 * $1}'
}

{
    printf 'milliseconds of a training step of %s tokens, by the length of its sequences\n%-10s %7s' "$tokens" model threads
    # shellcheck disable=SC2086
    printf '%9s' $lengths
    echo
    for name in $models; do
        for threads in $THREADS; do
            printf '%-10s %7s' "$name" "$threads"
            curve "$name-$threads"
            for length in $lengths; do
                value=$(took "$name" "$length" "$threads")
                point "$name-$threads" log2_length "$(log2 "$length")" milliseconds "$value"
                printf '%9.1f' "$value"
            done
            echo
        done
    done
} | tee "$OUT/table.txt"
curves=$(for name in $models; do for threads in $THREADS; do echo "$name-$threads"; done; done)
# shellcheck disable=SC2086
draw parallel-in-time.svg log2_length milliseconds "A training step of $tokens tokens, by length and threads" $curves --logarithmic
