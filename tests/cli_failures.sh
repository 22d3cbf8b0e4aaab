#!/usr/bin/env bash
# Failures of the surroundings are told as what they are: a full standard output, names that are not UTF-8, files that become shorter.
# usage: cli_failures.sh PROGRAM
. "$(dirname "$0")/cli.inc"

random_words 2000 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 32, context: 16}
data: {path: data.h5}
train: {steps: 20, batch: 4, sequence: 16, schedule: constant, evaluate_batches: 2}
output: {path: x}
JOB
expect 0 '' "$lockstep" train job.yaml

# ---- results that do not arrive: status 7 for a full disk, whichever command prints them
full() { code=0; "$lockstep" "$@" > /dev/full 2> err.txt < /dev/null || code=$?; [ $code = 7 ] && grep -q 'standard output: No space left' err.txt ||
    failed "$* > /dev/full: exit $code: $(cat err.txt)"; }
full generate x --prompt the
full generate x --prompt the --tokens 3000
full generate x --ids 1,2 --batch 3
full inspect x
full inspect x --json
full inspect data.h5
full eval x
full eval x --json
full diff x x
full models
full models gpt --json
full ops
full train job.yaml --dry-run
full --help
full --version
full prepare text text.txt -o other.h5
full predict x --ids 1 -o other.h5
full doctor

# ---- names that are not UTF-8: the file is written, described and read; YAML and JSON show what they can
name=$'na\xefve'
expect 0 '' "$lockstep" prepare text text.txt -o "$name.h5" --tokenizer characters
LC_ALL=C grep -q "^file .*na" out.txt || failed "no description: $(cat out.txt)"
cp text.txt "$name.txt"
expect 0 '' "$lockstep" prepare text "$name.txt" -o "$name.h5" --tokenizer characters --json
expect 0 '' "$lockstep" inspect "$name.h5" --json
cp -r x "$name"
for command in 'inspect --json' inspect 'eval --json' eval; do
    # shellcheck disable=SC2086
    set -- $command
    expect 0 '' "$lockstep" "$1" "$name" "${@:2}"
done
expect 0 '' "$lockstep" diff x "$name" --json
expect 0 '' "$lockstep" predict "$name" --input "$name.h5" -o "$name-out.h5"
expect 2 'must be UTF-8' "$lockstep" train job.yaml output.path="$name-2"
expect 2 'must be UTF-8' "$lockstep" import "$fixtures/gpt2-tiny" -o "$name-2"
[ -e "$name-2" ] && failed 'a refused name left its folder'

# ---- links, pipes and devices: nothing is written through them, nothing is waited for
echo precious > precious.txt
mkdir -p linked
ln -s ../precious.txt linked/log.txt
expect 2 'linked/log.txt: is a link or a pipe' "$lockstep" train job.yaml output.path=linked
rm linked/log.txt
ln -s ../precious.txt linked/metrics.jsonl
expect 0 '' "$lockstep" train job.yaml output.path=linked # the link gives way to a file
[ -L linked/metrics.jsonl ] && failed 'rows go through a link'
rm -r linked
ln -s precious.txt trace.json
expect 2 'trace.json: is a symbolic link' "$lockstep" train job.yaml output.path=traced --trace trace.json
expect 2 'is there already and is no trace' "$lockstep" train job.yaml output.path=traced --trace precious.txt
[ "$(cat precious.txt)" = precious ] || failed 'a file was overwritten'
expect 0 '' "$lockstep" train job.yaml output.path=traced train.steps=21 --trace trace-1.json
expect 0 '' "$lockstep" train job.yaml output.path=traced train.steps=22 --trace trace-1.json # an older trace
expect 0 '' "$lockstep" train job.yaml output.path=traced train.steps=23 --trace /dev/null
mkdir -p mine
echo mine > mine/config.yaml
expect 2 'is there already, and is not of this import' "$lockstep" import "$fixtures/gpt2-tiny" -o mine
[ "$(cat mine/config.yaml)" = mine ] && [ "$(ls mine)" = config.yaml ] || failed "import changed a stranger's folder: $(ls mine)"

mkfifo pipe.h5 pipe
refused() { local status=$1; shift; expect "$status" 'pipe' timeout 20 "$lockstep" "$@"; }
refused 2 train pipe
refused 2 train /dev/zero
refused 3 train job.yaml data.path=pipe.h5 output.path=y
refused 3 train job.yaml data.validation_path=pipe.h5 output.path=y
refused 4 train job.yaml --resume pipe.h5 output.path=y
refused 3 eval x data.path=/dev/zero
refused 4 eval pipe
refused 4 generate pipe --prompt x
refused 4 predict pipe --ids 1 -o o.h5
refused 3 predict x --input /dev/zero -o o.h5
refused 4 export pipe -o o
refused 3 inspect pipe.h5
refused 3 inspect /dev/zero
expect 3 'this is a pipe or a device' timeout 20 "$lockstep" prepare text pipe -o o.h5
expect 3 'this is a pipe or a device' timeout 20 "$lockstep" prepare text /dev/zero -o o.h5
refused 3 prepare text text.txt -o o.h5 --like pipe.h5
expect 3 'this is a pipe or a device' timeout 20 "$lockstep" prepare text text.txt -o o.h5 --validation-file pipe
mkdir -p hf
cp "$fixtures"/gpt2-tiny/* hf/
for file in config.json model.safetensors tokenizer.json; do
    [ -e hf/$file ] && mv hf/$file kept
    mkfifo hf/$file
    expect 3 "$file" timeout 20 "$lockstep" import hf -o imported
    rm hf/$file
    ln -s /dev/zero hf/$file
    (limit_memory 2000000; expect 3 "$file" timeout 20 "$lockstep" import hf -o imported; exit $failures) || failures=$((failures + 1))
    rm hf/$file
    [ -e kept ] && mv kept hf/$file
done
for file in metrics.jsonl status; do
    cp -r x y
    rm y/$file
    mkfifo y/$file
    expect 0 '' timeout 20 "$lockstep" inspect y
    [ $file = status ] || expect 1 'pipe' timeout 20 "$lockstep" train job.yaml output.path=y train.steps=30
    rm -r y
done
mkdir -p cache/lockstep
rm -f cache/lockstep/machine.json
mkfifo cache/lockstep/machine.json
expect 0 '' timeout 60 "$lockstep" train job.yaml output.path=measured train.steps=1
# a pipe is text where text is read
(cat text.txt > pipe) &
expect 0 '' timeout 20 "$lockstep" predict x --input pipe -o o.h5

finish
