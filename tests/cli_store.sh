#!/usr/bin/env bash
# import and export as a user runs them: there and back, damage, a full disk and kills at every call that writes.
# usage: cli_store.sh PROGRAM
. "$(dirname "$0")/cli.inc"

temporaries() { find "$1" -name '*.tmp-*' 2>/dev/null | wc -l; }

# ---- There and back: the same content gives the same checkpoint, byte for byte ----
for model in gpt2-tiny mamba2-tiny mamba-tiny; do
    says 0 'imported' import "$fixtures/$model" -o run
    says 0 'exported' export run -o "$model-out"
    mkdir -p again
    (cd again && says 0 'imported' import "../$model-out" -o run; exit $failures) || failures=$((failures + 1))
    cmp run/checkpoints/step-00000000.h5 again/run/checkpoints/step-00000000.h5 || failed "$model: not the same there and back"
    says 0 'every checksum is right' inspect run/checkpoints/step-00000000.h5
    says 2 'has checkpoints already' import "$fixtures/$model" -o run
    [ "$model" = mamba-tiny ] || rm -rf run again
done

# ---- An imported model is trained on under settings of its own ----
head -c 3000 /dev/zero | tr '\0' 'a' > text.txt
prepare text.h5 --tokenizer characters --validation 0.1
mkdir -p tuned/checkpoints
cp run/checkpoints/step-00000000.h5 tuned/checkpoints/
sed -e 's|^  path: .*text.*||' run/config.yaml > tune.yaml
expect 0 'step 2/2' "$lockstep" train tune.yaml data.path=text.h5 output.path=tuned train.sequence=8 train.seed=7 \
    train.optimizer=sgd train.batch=2 train.steps=2 train.evaluate_batches=1
[ -e tuned/checkpoints/step-00000002.h5 ] || failed 'no checkpoint of the tuned model'
says 2 'train.seed' train tune.yaml data.path=text.h5 output.path=tuned train.sequence=8 train.seed=8 \
    train.optimizer=sgd train.batch=2 train.steps=3

# ---- The run folder is a value, whatever its name: config.yaml trains the imported model, in the same folder ----
for name in 'imp #1' 'a: b' '[1]' '~' null '"quoted"' "it's" '| x' '{a: 1}' ' blanks ' '- x' 'true' '12'; do
    says 0 'imported' import "$fixtures/gpt2-tiny" -o "$name"
    expect 0 'step-00000000.h5 after step 0' "$lockstep" train "./$name/config.yaml" data.path=text.h5 train.sequence=8 train.batch=2 \
        train.steps=1 train.evaluate_batches=1
    [ -e "./$name/checkpoints/step-00000001.h5" ] || failed "$name: trained elsewhere"
    rm -r "./$name"
done
# ---- Values of the command line are values ----
says 0 'imported' import "$fixtures/gpt2-tiny" -o imported
expect 0 '' "$lockstep" train imported/config.yaml data.path=text.h5 train.sequence=8 train.batch=2 train.steps=1 train.evaluate_batches=1 \
    'output.path=out #2'
[ -e 'out #2/checkpoints/step-00000001.h5' ] && [ ! -e out ] || failed "'out #2' was cut: $(ls)"
rm -r imported 'out #2'

# ---- Over an older export: the tokenizer of a model that has none is not that of the one before ----
says 0 'imported' import "$fixtures/gpt2-tiny" -o ids
for run in tuned tuned; do says 0 'exported' export $run -o over && ! grep -q 'older export' err.txt || failed "the same files: $(cat err.txt)"; done
expect 0 'over: what an older export left there and this model does not have would be read as its own' "$lockstep" export ids -o over
grep -q 'older export.*lockstep_tokenizer.json' err.txt || failed "not named: $(cat err.txt)"
echo '{"eos_token_id": 3}' > over/generation_config.json # that of a model whose texts end otherwise
expect 0 'would be read as its own: generation_config.json' "$lockstep" export tuned -o over
rm -r over ids

# ---- Bad input ----
cp -r "$fixtures/gpt2-tiny" changed
sed -i 's/"scale_attn_by_inverse_layer_idx": false/"scale_attn_by_inverse_layer_idx": true/' changed/config.json
says 3 'key scale_attn_by_inverse_layer_idx' import changed -o none
cp "$fixtures/gpt2-tiny/config.json" changed/
truncate -s -1 changed/model.safetensors
says 3 'truncated' import changed -o none
says 3 'config.json' import absent -o none
says 4 'absent' export absent -o none
cp -r run damaged
truncate -s -7 damaged/checkpoints/step-00000000.h5
says 4 'truncated' export damaged -o none
says 4 'truncated' inspect damaged/checkpoints/step-00000000.h5
[ ! -e none ] || failed 'something was written in spite of an error'

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
        [ "$have" -eq "$want" ] || failed "$kind:$n $*: gave $have, not $want: $(cat err.txt)"
        if [ "$kind" = kill ]; then # whatever it left, a second try comes through, or finds the work done
            "$@" > out.txt 2> err.txt || grep -q 'has checkpoints already' err.txt || failed "$kind:$n $*: the second try: $(cat err.txt)"
        else
            [ "$(temporaries target)" -eq 0 ] || failed "$kind:$n $*: left $(find target -name '*.tmp-*')"
            [ ! -e target/checkpoints/step-00000000.h5 ] && [ ! -e target/config.json ] || failed "$kind:$n $*: left half of its work"
        fi
    done
    [ "$tries" -ge 2 ] && [ "$have" -eq 0 ] || failed "$kind $*: $tries faults, last status $have"
}
each full 7 "$lockstep" import "$fixtures/gpt2-tiny" -o target
each kill 137 "$lockstep" import "$fixtures/gpt2-tiny" -o target
each full 7 "$lockstep" export run -o target
each kill 137 "$lockstep" export run -o target
# The last calls of an import: a checkpoint that is in its place already is taken away again where the folder cannot be synchronised.
for n in $(seq 50 80); do
    rm -rf target
    LOCKSTEP_FAULT=full:$n "$lockstep" import "$fixtures/gpt2-tiny" -o target > out.txt 2> err.txt && break
    [ ! -e target/checkpoints/step-00000000.h5 ] && [ ! -e target/config.yaml ] || failed "full:$n of import: left $(find target -type f)"
done
[ "$n" -gt 50 ] && [ "$n" -lt 80 ] || failed "import has other numbers of calls now: $n"
LOCKSTEP_FAULT=short:9 says 0 'imported' import "$fixtures/gpt2-tiny" -o short
says 0 'every checksum is right' inspect short/checkpoints/step-00000000.h5

finish
