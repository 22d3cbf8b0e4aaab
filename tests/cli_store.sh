#!/usr/bin/env bash
# import and export as a user runs them: there and back, damage, a full disk and kills at every call that writes.
#
#     tests/cli_store.sh PROGRAM
set -u
lockstep=$(realpath "$1")
fixtures=$(cd "$(dirname "$0")" && pwd)/fixtures
folder=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-store-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failed=0
fail()
{
    echo "FAILED: $*" >&2
    failed=1
}

# expect STATUS TEXT COMMAND…: exit status, and a text that stderr must hold
expect()
{
    local want=$1 text=$2 have
    shift 2
    "$@" > out.txt 2> err.txt
    have=$?
    [ "$have" -eq "$want" ] || fail "$* gave $have, not $want: $(cat err.txt)"
    grep -qF -- "$text" err.txt out.txt || fail "$*: no '$text' in: $(cat err.txt out.txt)"
}

temporaries() { find "$1" -name '*.tmp-*' 2>/dev/null | wc -l; }

# ---- There and back: the same content gives the same checkpoint, byte for byte ----
for model in gpt2-tiny mamba-tiny; do
    expect 0 'imported' "$lockstep" import "$fixtures/$model" -o run
    expect 0 'exported' "$lockstep" export run -o "$model-out"
    mkdir -p again
    (cd again && expect 0 'imported' "$lockstep" import "../$model-out" -o run; exit $failed) || failed=1
    cmp run/checkpoints/step-00000000.h5 again/run/checkpoints/step-00000000.h5 || fail "$model: not the same there and back"
    expect 0 'every checksum is right' "$lockstep" inspect run/checkpoints/step-00000000.h5
    expect 2 'has checkpoints already' "$lockstep" import "$fixtures/$model" -o run
    [ "$model" = mamba-tiny ] || rm -rf run again
done

# ---- An imported model is trained on under settings of its own ----
head -c 3000 /dev/zero | tr '\0' 'a' > text.txt
expect 0 'written' "$lockstep" prepare text text.txt -o text.h5 --tokenizer characters --validation 0.1
mkdir -p tuned/checkpoints
cp run/checkpoints/step-00000000.h5 tuned/checkpoints/
sed -e 's|^  path: .*text.*||' run/config.yaml > tune.yaml
expect 0 'step 2/2' env OMP_NUM_THREADS=1 "$lockstep" train tune.yaml data.path=text.h5 output.path=tuned train.sequence=8 train.seed=7 \
    train.optimizer=sgd train.batch=2 train.steps=2 train.evaluate_batches=1
[ -e tuned/checkpoints/step-00000002.h5 ] || fail 'no checkpoint of the tuned model'
expect 2 'train.seed' env OMP_NUM_THREADS=1 "$lockstep" train tune.yaml data.path=text.h5 output.path=tuned train.sequence=8 train.seed=8 \
    train.optimizer=sgd train.batch=2 train.steps=3

# ---- Bad input ----
cp -r "$fixtures/gpt2-tiny" changed
sed -i 's/"scale_attn_by_inverse_layer_idx": false/"scale_attn_by_inverse_layer_idx": true/' changed/config.json
expect 3 'key scale_attn_by_inverse_layer_idx' "$lockstep" import changed -o none
cp "$fixtures/gpt2-tiny/config.json" changed/
truncate -s -1 changed/model.safetensors
expect 3 'truncated' "$lockstep" import changed -o none
expect 3 'config.json' "$lockstep" import absent -o none
expect 4 'absent' "$lockstep" export absent -o none
cp -r run damaged
truncate -s -7 damaged/checkpoints/step-00000000.h5
expect 4 'truncated' "$lockstep" export damaged -o none
expect 4 'truncated' "$lockstep" inspect damaged/checkpoints/step-00000000.h5
[ ! -e none ] || fail 'something was written in spite of an error'

# ---- Writing calls fail or kill (a few of them: the unit tests go through all) ----
# each KIND STATUS COMMAND…: LOCKSTEP_FAULT=KIND:1, :4, … until the program comes through unharmed
each()
{
    local kind=$1 want=$2 have n tries=0
    shift 2
    for n in 1 4 10 19 200; do
        rm -rf target
        { LOCKSTEP_FAULT=$kind:$n "$@" > out.txt 2> err.txt; } 2> shell.txt
        have=$?
        [ "$have" -ne 0 ] || break
        tries=$((tries + 1))
        [ "$have" -eq "$want" ] || fail "$kind:$n $*: gave $have, not $want: $(cat err.txt)"
        if [ "$kind" = kill ]; then # whatever it left, a second try comes through, or finds the work done
            "$@" > out.txt 2> err.txt || grep -q 'has checkpoints already' err.txt || fail "$kind:$n $*: the second try: $(cat err.txt)"
        else
            [ "$(temporaries target)" -eq 0 ] || fail "$kind:$n $*: left $(find target -name '*.tmp-*')"
            [ ! -e target/checkpoints/step-00000000.h5 ] && [ ! -e target/config.json ] || fail "$kind:$n $*: left half of its work"
        fi
    done
    [ "$tries" -ge 2 ] && [ "$have" -eq 0 ] || fail "$kind $*: $tries faults, last status $have"
}
each full 7 "$lockstep" import "$fixtures/gpt2-tiny" -o target
each kill 137 "$lockstep" import "$fixtures/gpt2-tiny" -o target
each full 7 "$lockstep" export run -o target
each kill 137 "$lockstep" export run -o target
expect 0 'imported' env LOCKSTEP_FAULT=short:9 "$lockstep" import "$fixtures/gpt2-tiny" -o short
expect 0 'every checksum is right' "$lockstep" inspect short/checkpoints/step-00000000.h5

exit $failed
