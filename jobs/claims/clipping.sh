#!/usr/bin/env bash
# Claim: gradients of a plain recurrent network explode, and clipping their norm keeps the training alive (Pascanu, Mikolov and Bengio
# 2013). One network, one seed, with and without train.clip: gradient norms and losses.
#
#     jobs/claims/clipping.sh
#
# LENGTH=100 STEPS=600 BATCH=32 RATE=0.3 CLIP=0.5 OUT=runs/claims/clipping
OUT=${OUT:-runs/claims/clipping}
# shellcheck source=jobs/claims/claims.inc
. "$(dirname "$0")/claims.inc"

cat > "$OUT/job.yaml" <<JOB
model: {kind: rnn, cell: tanh, layers: 1, width: 128}
task: {kind: regression}
data: {kind: generated, rule: adding, length: ${LENGTH:-100}}
train: {steps: ${STEPS:-600}, batch: ${BATCH:-32}, learning_rate: ${RATE:-0.3}, schedule: constant, warmup: 0, optimizer: sgd, seed: 1, evaluate_every: 0}
output: {save_every: 0, log_every: 1}
JOB

# largest RUN METRIC, middle RUN METRIC: over the rows of metrics.jsonl
values() { sed -nE "s/.*\"$2\": ([-0-9.eE+]+|null|NaN|Infinity).*/\1/p" "$OUT/$1/metrics.jsonl" | grep -E '^[0-9]' | sort -g; }
largest() { values "$@" | tail -1; }
middle() { values "$@" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

# ended RUN: its last loss, or at which step its loss was no number any more
ended()
{
    [ "$(cat "$OUT/$1/status")" != diverged ] || { echo "none after step $(wc -l < "$OUT/$1/metrics.jsonl")"; return; }
    score "$OUT/$1" rmse
}

{
    printf '%-10s %14s %14s %14s   %s\n' clip "median norm" "largest norm" "largest loss" "rmse at the end"
    for clip in 0 "${CLIP:-0.5}"; do
        name=clip-$clip
        [ "$(cat "$OUT/$name/status" 2> /dev/null)" = diverged ] || trained "$OUT/$name" "$OUT/job.yaml" train.clip="$clip" || true
        printf '%-10s %14.4g %14.4g %14.4g   %s\n' "$clip" "$(middle "$name" grad_norm)" "$(largest "$name" grad_norm)" "$(largest "$name" loss)" \
            "$(ended "$name")"
    done
} | tee "$OUT/table.txt"
draw norms.svg step grad_norm "Gradient norms of a plain recurrent network" clip-0 "clip-${CLIP:-0.5}"
draw losses.svg step loss "Its loss, with and without clipping" clip-0 "clip-${CLIP:-0.5}"
echo "The adding problem; saying 1 for every sum is off by 0.408."
