#!/usr/bin/env bash
# lockstep seal: files that another program changed or wrote are checked and sealed anew; what a reader would refuse is refused, and
# the file stays as it was.
# usage: cli_seal.sh PROGRAM
. "$(dirname "$0")/cli.inc"
random_words 400 > text.txt
prepare text.h5 --tokenizer bytes --validation 0.1
change() { LC_ALL=C sed "$1" "$2" > "$3"; cmp -s "$2" "$3" && failed "$1 changes nothing in $2"; }

# refused STATUS TEXT FILE ARGUMENT...: seal refuses it, and nothing is changed or left
refused()
{
    local status=$1 text=$2 file=$3
    shift 3
    cp "$file" before.bin
    says "$status" "$text" seal "$file" "$@"
    cmp -s "$file" before.bin || failed "a refused seal changed $file"
    compgen -G "$file.*" > /dev/null && failed "a refused seal left $(compgen -G "$file.*")"
}

# ---- Data sets: in a text by bytes the tokens are its letters
change '0,/seven/s//SEVEN/' text.h5 changed.h5
says 3 'damaged' inspect changed.h5
says 0 'checked and sealed' seal changed.h5
says 0 'every checksum is right' inspect changed.h5
grep -q SEVEN changed.h5 || failed "sealing lost the change"
cat > job.yaml << 'YAML'
model: {kind: gpt, layers: 1, width: 16, heads: 2, context: 16}
data: {path: changed.h5}
train: {steps: 3, batch: 4}
output: {path: run}
YAML
expect 0 '' "$lockstep" train job.yaml --progress none
cp text.h5 again.h5
says 0 'checked and sealed' seal again.h5
[ "$(stat -c %s text.h5)" = "$(stat -c %s again.h5)" ] || failed "sealing what is whole changes its size"
says 0 'every checksum is right' inspect again.h5

# ---- Without a block in front, as other programs write HDF5; with one of zeros
tail -c +513 text.h5 > bare.h5
says 3 'not one that this program wrote' inspect bare.h5
refused 2 '--kind' bare.h5
refused 2 'lines' bare.h5 --kind nothing
refused 3 'info' bare.h5 --kind lines
says 0 'checked and sealed' seal bare.h5 --kind text
says 0 'every checksum is right' inspect bare.h5
{ head -c 512 /dev/zero; tail -c +513 text.h5; } > zeros.h5
says 0 'checked and sealed' seal --kind text zeros.h5
says 0 'every checksum is right' inspect zeros.h5
refused 2 'of kind text' text.h5 --kind lines

# ---- What a reader refuses
change 's/"kind":"bytes"/"kind":"bites"/' text.h5 tokenizer.h5
refused 3 'bites' tokenizer.h5
change 's/train_bytes/train_bites/' text.h5 attribute.h5
refused 3 'train_bytes' attribute.h5
head -c 3000 text.h5 > cut.h5
refused 3 'cut.h5' cut.h5
refused 3 'no HDF5 file' text.txt --kind text
says 3 'no such file' seal missing.h5
expect 0 '' "$lockstep" predict run --ids 1,2 -o output.h5
refused 2 "'output'" output.h5

# ---- Checkpoints
checkpoint=run/checkpoints/step-00000003.h5
change 's/seed: 1$/seed: 7/' $checkpoint seed.h5
says 4 'damaged' eval seed.h5
says 0 'checked and sealed' seal seed.h5
says 0 'seed: 7' inspect seed.h5 --config
says 0 'loss' eval seed.h5
change 's/  width: 16$/  width: 24/' $checkpoint width.h5
refused 4 'parameters of another model' width.h5
change 's/  heads: 2$/  haeds: 2/' $checkpoint setting.h5
refused 4 'haeds' setting.h5
finish
