#!/usr/bin/env bash
# Every kind of data set, as a user prepares and inspects it, and input of each that is not right: message with file and line, status 3,
# nothing left. The kinds are read off the help: one that this file does not know fails it.
# usage: cli_kinds.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# makes KIND TEXT ARGUMENT...: prepares out.h5, which says TEXT, inspects it, and refuses it when it is cut
makes()
{
    local kind=$1 text=$2
    shift 2
    rm -f out.h5
    says 0 "$text" prepare "$kind" "$@" -o out.h5
    says 0 "$text" inspect out.h5
    grep -q '^every checksum is right' out.txt || failed "inspect of $kind does not say that it is whole"
    says 0 "\"kind\": \"$kind\"" inspect out.h5 --json
    head -c $(($(stat -c %s out.h5) - 1)) out.h5 > cut.h5
    says 3 'cut.h5' inspect cut.h5
    tried[$kind]=1
}

# refuses KIND TEXT ARGUMENT...: status 3, TEXT, and neither an output nor a temporary file nor a lock
refuses()
{
    local kind=$1 text=$2
    shift 2
    says 3 "$text" prepare "$kind" "$@" -o bad/out.h5
    [ ! -e bad ] || failed "prepare $kind $*: leaves $(find bad)"
    refused[$kind]=1
}
declare -A tried refused

# ---- text
printf 'one line\nand another\n' > text.txt
makes text 'train tokens' text.txt --tokenizer words --validation 0.3
refuses text 'gone.txt: No such file' gone.txt
printf 'one\nt\351\n' > latin.txt
refuses text 'latin.txt: line 2, byte 5: malformed UTF-8' latin.txt --tokenizer words --validation 0

# ---- images: idx, CIFAR-10, PNG
head4() { printf '\0\0\10\3\0\0\0\4\0\0\0\2\0\0\0\3'; }
{ head4; printf 'abcdefghijklmnopqrstuvwx'; } > four-images-idx3-ubyte
printf '\0\0\10\1\0\0\0\4\0\1\2\0' > four-labels-idx1-ubyte
gzip -k four-images-idx3-ubyte
makes images 'train samples           3' four-images-idx3-ubyte.gz four-labels-idx1-ubyte --validation 1 \
    --test four-images-idx3-ubyte,four-labels-idx1-ubyte --classes cat,dog,bird
# the options that are not the defaults are kept, of every kind
made() { "$lockstep" inspect out.h5 | grep -qxF "options                 $*" || failed "$* is not kept: $("$lockstep" inspect out.h5)"; }
made --validation 1 --test four-images-idx3-ubyte,four-labels-idx1-ubyte --classes cat,dog,bird
says 0 '  cat                   2' inspect out.h5
grep -q '^channels  *1' out.txt || failed "no channels: $(cat out.txt)"
head -c 3073 /dev/zero > batch.bin
makes images 'airplane' batch.bin
mkdir -p animals/cats animals/dogs
echo iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNgZ2dgZwcAAFoAHUBSJIEAAAAASUVORK5CYII= | base64 -d > animals/cats/1.png
cp animals/cats/1.png animals/dogs/2.png
touch animals/dogs/notes.txt
makes images 'skipped files that are no pictures 1' animals
{ printf '\0\0\7\3'; head -c 40 four-images-idx3-ubyte | tail -c 36; } > wrong-ubyte
refuses images 'wrong-ubyte: is no idx file of bytes: it starts with 00 00 07 03' wrong-ubyte four-labels-idx1-ubyte
head -c 30 four-images-idx3-ubyte > cut-ubyte
refuses images 'cut-ubyte: is cut short: it ends at byte 30' cut-ubyte four-labels-idx1-ubyte
head -c 40 four-images-idx3-ubyte.gz > cut-ubyte.gz
refuses images 'cut-ubyte.gz: the compressed file is cut short or damaged' cut-ubyte.gz four-labels-idx1-ubyte
refuses images 'the label of picture 2 (from 0) is 2, but there are 2 classes' four-images-idx3-ubyte four-labels-idx1-ubyte \
    --classes cat,dog
head -c 3072 batch.bin > short.bin
refuses images 'short.bin: has 3072 bytes' short.bin
echo iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAADklEQVR42mPg5ORkAGIAAOAAN+RJz/4AAAAASUVORK5CYII= | base64 -d > animals/dogs/3.png
refuses images 'animals/dogs/3.png: is a picture of 3 x 2 with 1 channel, but those before are of 2 x 2' animals
head -c 60 animals/cats/1.png > animals/dogs/3.png
refuses images 'animals/dogs/3.png: is no whole PNG picture' animals
says 2 'is a source and the output at once' prepare images batch.bin -o batch.bin

# ---- lines
printf 'good\ta fine film\nbad\tdull\ngood\tfine\n' > films.tsv
makes lines 'tokenizer vocabulary    8' films.tsv --validation 0 --lowercase
made --lowercase --validation 0
grep -q '^  good  *2' out.txt || "$lockstep" inspect out.h5 | grep -q '^  good  *2' || failed "lines does not count by class"
printf '{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n' > films.jsonl
makes lines 'classes                 2' films.jsonl --validation 0 --tokenizer characters
printf 'one\n' > r.neg; printf 'two\n' > r.pos
makes lines '  pos                   1' --format files r.neg r.pos --validation 0
printf 'good\tfine\nbad\n' > uneven.tsv
refuses lines 'uneven.tsv: line 2: has 1 column between tabs, the lines before have 2' uneven.tsv
printf 'good\tfine\nbad\t\n' > empty.tsv
refuses lines 'empty.tsv: line 2: the text is empty' empty.tsv
printf 'good\tfine\nbad\t\377\n' > latin.tsv
refuses lines 'latin.tsv: line 2: byte 5 of the line (0xFF) is no UTF-8' latin.tsv
printf 'poor\tx\n' > poor.tsv
refuses lines "poor.tsv: line 1: the label 'poor' is none of the 2 classes" films.tsv --test poor.tsv
says 2 'films.tsv is a source and the output at once' prepare lines films.tsv -o films.tsv
says 2 'films.tsv is a source and the output at once' prepare lines uneven.tsv --test films.tsv -o films.tsv
expect 0 '' "$lockstep" prepare lines films.tsv -o like.h5 --validation 0
cp like.h5 like-before.h5
says 2 'like.h5 is --like and the output at once' prepare lines films.tsv -o like.h5 --like ./like.h5
cmp -s like.h5 like-before.h5 || failed 'prepare --like replaced the data set that it takes the tokenizer from'

# ---- columns, and a training on them
printf 'Ada\tB-person\nwrote\tO\n\nBonn\tB-place\nis\tO\nold\tO\n' > tags.conll
makes columns 'train words             5' tags.conll --validation 0 --test tags.conll
made --validation 0 --test tags.conll
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 3}
task: {kind: tagging}
data: {kind: columns, path: out.h5}
train: {steps: 3, batch: 2, warmup: 1}
output: {path: run}
JOB
expect 0 '' "$lockstep" train job.yaml
printf 'Ada\tB-person\nwrote\n' > uneven.conll
refuses columns 'uneven.conll: line 2: has 1 column, the lines before have 2' uneven.conll
printf 'Ada\tO\n\nBonn\tB-town\n' > town.conll
refuses columns "town.conll: line 3: the tag 'B-town' is none of the 3" tags.conll --validation-file town.conll
printf '\n\n' > blank.conll
refuses columns 'blank.conll: has no sentences' blank.conll

# ---- pairs
printf 'Go.\tVa !\tnote\nStay.\tReste.\tnote\n' > pairs.txt
makes pairs 'source tokenizer vocabulary 7' pairs.txt --validation 0
made --validation 0
printf 'a\nb\n' > x.en; printf 'c\n' > x.fr
refuses pairs 'x.en: line 2: x.fr ends before it, at line 1' --format files x.en x.fr
printf 'Go.\tVa !\nStay.\t\n' > empty.txt
refuses pairs 'empty.txt: line 2: the target text is empty' empty.txt
printf '{"source": "a"}\n' > pairs.jsonl
refuses pairs 'pairs.jsonl: line 1: has no "target" that is a text' pairs.jsonl

# ---- chat, and a training on it
said() { printf '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "%s"}]}\n' "$1" "$2"; }
{ said one eins; said two zwei; said three drei; } > talk.jsonl
makes chat 'train answer tokens     10' talk.jsonl --validation 1 --end '.'
made --end . --validation 1
cat > job.yaml <<'JOB'
model: {kind: mamba, layers: 1, width: 8, context: 64}
data: {kind: chat, path: out.h5}
train: {steps: 3, batch: 2, warmup: 1, length_step: 8}
output: {path: chat}
JOB
expect 0 '' "$lockstep" train job.yaml
expect 0 '' "$lockstep" train job.yaml model.kind=gpt model.heads=2 output.path=chat-gpt
# what was asked for stays, whatever the longest of the data was: longer conversations are evaluated whole, or it is said
grep -q '^  sequence: 0$' chat-gpt/config.yaml || failed "train.sequence is not what was asked for: $(grep sequence chat-gpt/config.yaml)"
{ said one eins; said 'a longer one' 'a longer answer'; } > long.jsonl
says 0 'train answer tokens     21' prepare chat long.jsonl -o long.h5 --like chat-gpt --validation 0 --end '.'
expect 0 '' "$lockstep" eval chat-gpt data.path=long.h5 --split train
grep -q '(21 tokens' out.txt && ! grep -q 'are cut' err.txt || failed "longer conversations are cut: $(cat out.txt err.txt)"
expect 0 'long.h5: 1 of the 2 samples of train have more than 40 steps and are cut there; a larger train.sequence' \
    "$lockstep" eval chat-gpt data.path=long.h5 --split train train.sequence=40
expect 0 'samples of train have more than 40 steps and are cut there' \
    "$lockstep" train job.yaml data.path=long.h5 train.sequence=40 train.length_step=0 output.path=chat-cut
# --like takes the markers as it takes the tokenizer: no warning when it is evaluated; one that is given wins, which is said
says 0 'marker end              .' prepare chat long.jsonl -o liked.h5 --like chat-gpt --validation 0
grep -q 'marker user             <|user|>\\n' out.txt || failed "the other markers: $(cat out.txt)"
expect 0 '' "$lockstep" eval chat-gpt data.path=liked.h5 --split train
! grep -q 'its marker' err.txt || failed "markers of --like: $(cat err.txt)"
cmp -s <("$lockstep" inspect liked.h5 | grep -v '^file\|^options') <("$lockstep" inspect long.h5 | grep -v '^file\|^options') || failed "markers of --like and the same ones given: $(cat out.txt)"
says 0 'marker user             <<\n' prepare chat long.jsonl -o user.h5 --like chat-gpt --validation 0 --user '<<\n' --end .
grep -qF -- "--user '<<\\n': chat-gpt/checkpoints/" err.txt && grep -qF "has '<|user|>\\n', which a model of it has learnt" err.txt ||
    failed "another marker than that of --like: $(cat err.txt)"
[ "$(grep -c 'a model of it has learnt' err.txt)" = 1 ] || failed "a warning of the same marker: $(cat err.txt)"
says 0 'marker user             <<\n' prepare chat long.jsonl -o again.h5 --like user.h5 --validation 0 # of a data set too
says 0 'marker end              <|end|>\n' prepare chat long.jsonl -o plain.h5 --validation 0
# the defaults are written as the options take them, in help and man pages
says 0 '<|system|>\n); a chat template' prepare chat --help
says 0 '<|system|>\en); a chat template' manual prepare
for kind in text images lines columns pairs chat series wav; do
    "$lockstep" prepare $kind --help | grep -q '^ *)' && failed "prepare $kind --help breaks a default in two"
done
# a data set that is named to be evaluated, of which a part alone is held out
says 0 '' prepare chat long.jsonl -o parted.h5 --like chat-gpt --validation 0.5 --end '.'
expect 0 'parted.h5 holds out 1 of its 2 samples, which alone are evaluated' "$lockstep" eval chat-gpt data.path=parted.h5
expect 0 '' "$lockstep" eval chat-gpt data.path=parted.h5 --split train
! grep -q 'holds out' err.txt || failed "the train part was asked for: $(cat err.txt)"
says 0 'sequences of' train job.yaml --dry-run
longest=$(sed -n 's/.* sequences of \([0-9]*\) tokens.*/\1/p' out.txt | head -1)
sed "s/^  sequence: 0$/  sequence: $longest/" chat-gpt/config.yaml > before.yaml # of a run folder of before: what the data's longest was
expect 0 '' "$lockstep" train before.yaml output.path=chat-before
expect 0 '' "$lockstep" train job.yaml model.kind=gpt model.heads=2 output.path=chat-before train.steps=4
expect 2 'prepare chat long.jsonl -o held.h5 --like chat-gpt --validation 0, and then lockstep eval chat-gpt data.path=held.h5 --split train' \
    "$lockstep" eval chat-gpt --input long.jsonl
! grep -q -- '--field' err.txt || failed "conversations are no member of an object: $(cat err.txt)"
echo 'plain text, not a talk' > plain.txt # a model of conversations says what any text is worth to it
says 0 'perplexity' eval chat-gpt --input plain.txt
# turns: the data set's markers stand around them, the answer alone is printed, and it ends where a turn ends
expect 0 '' "$lockstep" train job.yaml train.steps=60 train.learning_rate=2e-2 model.width=16 output.path=says
same=(--tokens 40 --seed 2 --temperature 0.5)
prompt=$'<|system|>\nbe.<|user|>\none.<|assistant|>\n'
expect 0 '' "$lockstep" generate says --prompt "$prompt" "${same[@]}" --stop .
cp out.txt whole.txt
expect 0 '' "$lockstep" generate says --prompt "$prompt" "${same[@]}" --stop . --only-new
cmp -s <(printf %s "$prompt"; cat out.txt) whole.txt || failed "--only-new: $(cat out.txt)"
cp out.txt answer.txt
[ "$(wc -c < answer.txt)" -lt 40 ] || failed "the answer does not end at a marker, which shows nothing: $(cat answer.txt)"
expect 0 '' "$lockstep" generate says --system be --message one "${same[@]}"
cmp -s out.txt answer.txt || failed "--message is not the prompt with its markers: $(cat out.txt)"
expect 0 '' "$lockstep" generate says --system be --message one --batch 2 "${same[@]}" --json
python3 - "$prompt" "$(cat answer.txt)" <<'PY' || failed "--json: $(cat out.txt)"
import json, sys
rows = json.load(open("out.txt"))
assert len(rows) == 2 and rows[0]["prompt"] == sys.argv[1]
assert rows[0]["text"] == sys.argv[2] and rows[0]["ended"] == "stop", rows[0]
assert bytes(rows[0]["tokens"]) == (sys.argv[2] + ".").encode(), rows[0]
PY
says 0 '"prompt": "<|user|>\na.<|assistant|>\nb.<|user|>\nc.<|assistant|>\n"' generate says --message a --message b --message c --tokens 1 --json
expect 2 'the user has the last word' "$lockstep" generate says --message a --message b
expect 2 '--message and --prompt say two things' "$lockstep" generate says --message a --prompt b
for turn in '--message x<|user|>y' '--message x --message <|user|> --message y' '--system <|assistant|> --message x'; do
    expect 2 "generate: --message: a message holds the marker '<|" "$lockstep" generate chat-gpt $turn
done
expect 2 '--system stands before a --message' "$lockstep" generate says --system a
expect 0 'holds a backslash and an n, which are two characters' "$lockstep" generate says --prompt 'a\nb' --prompt 'b\n' --tokens 1
[ "$(grep -c 'backslash' err.txt)" = 1 ] || failed "not one warning: $(cat err.txt)"

# a model of texts (as an imported one is) on conversations: the kind is the file's, and settings of the run's own kind go with it
sed 's/eins/zwei/' talk.jsonl > plain.txt
expect 0 '' "$lockstep" prepare text plain.txt -o text.h5 --like chat-gpt --validation 0
expect 0 '' "$lockstep" train job.yaml model.kind=gpt model.heads=2 data.kind=text data.path=text.h5 train.length_step=0 output.path=texts
for kind in '' data.kind=chat; do
    says 0 '21 tokens' eval texts data.path=long.h5 $kind --split train
done
expect 2 'learnt data.kind text: give --prompt TEXT' "$lockstep" generate texts --message a
expect 2 "command line: data.as: data chat has no such setting" "$lockstep" eval texts data.path=long.h5 data.as=windows
expect 3 'long.h5: this is a data set of kind chat, and data.kind is text: data.kind=chat reads it' "$lockstep" eval texts data.path=long.h5 data.kind=text
expect 3 'long.h5: this is a data set of kind chat, and data.kind is text: data.kind=chat reads it' "$lockstep" train job.yaml data.kind=text data.path=long.h5 output.path=none
says 0 'perplexity' eval texts data.as= data.path=text.h5 --split train
expect 2 'do not follow one another' "$lockstep" train job.yaml train.length_step=0 train.carry=true output.path=chat-carry
refuses chat 'talk.jsonl: line 1: a message holds the marker' talk.jsonl --user 'ein'
printf '{"messages": [{"role": "tool", "content": "x"}]}\n' > role.jsonl
refuses chat "role.jsonl: line 1: a message's role is 'tool': system, user and assistant are known" role.jsonl
printf '{"messages": [{"role": "user", "content": "x"}]}\n' > mute.jsonl
refuses chat 'mute.jsonl: line 1: the conversation has no answer' mute.jsonl
printf '{"messages": [{"role": "user"}]}\n' > empty.jsonl
refuses chat 'empty.jsonl: line 1: a message of role user has no "content" that is a text' empty.jsonl
printf '{"turns": []}\n' > turns.jsonl
refuses chat 'turns.jsonl: line 1: has no "messages" that is a list' turns.jsonl
printf '{"messages": [{"content": "x"}]}\n' > nobody.jsonl
refuses chat 'nobody.jsonl: line 1: a message has no "role" that is a text: system, user or assistant' nobody.jsonl
refuses chat '--validation 0 holds out none, and '"'lockstep eval --split train'" talk.jsonl --validation 0.99
makes chat 'marker end              <|im_end|>\n' talk.jsonl --validation 1 --end '<|im_end|>\n'
expect 0 "out.h5: its marker --end is '<|im_end|>\n', but the model learnt '.': prepare it with --end '.'" "$lockstep" eval chat train.sequence=60
expect 0 '' "$lockstep" prepare chat talk.jsonl -o escaped.h5 --validation 1 --end $'<|im_end|>\n'
[ "$("$lockstep" inspect escaped.h5 | grep tokens)" = "$("$lockstep" inspect out.h5 | grep tokens)" ] || failed 'a new line is not read as one'
expect 2 "--end: '\d' in 'x\d'" "$lockstep" prepare chat talk.jsonl -o bad.h5 --end 'x\d'
expect 0 'talk.jsonl: is given twice' "$lockstep" prepare chat talk.jsonl talk.jsonl -o escaped.h5
refuses chat 'all are longer than --longest 3' talk.jsonl --longest 3 --validation 0

# ---- series
for i in 0 1 2 3 4 5 6 7 8 9; do echo "2020-01-0$i,$((i * i)),1"; done | { echo 'day,level,fixed'; cat; } > level.csv
makes series 'test dates              2020-01-09 to 2020-01-09' level.csv --date day --columns level --window 3
made --columns level --date day --window 3
sed 's/,16,/,NaN,/' level.csv > nan.csv
refuses series "nan.csv: line 6: column 2 (level) is 'NaN', which is no finite number" nan.csv --date day
sed 's/,16,/,,/' level.csv > hole.csv
refuses series 'hole.csv: line 6: column 2 (level) is empty' hole.csv --date day
sed 's/,16,1/,16/' level.csv > uneven.csv
refuses series 'uneven.csv: line 6: has 2 columns, the lines before have 3' uneven.csv --date day
refuses series '8 are left to train on, fewer than one window and horizon (30 + 1)' level.csv --date day

# ---- wav, and a training on it
# wav NAME BYTES RATE (as printf writes four bytes) CONTENT: a file of 16 bits, one channel
wav()
{
    printf 'RIFF%b\0\0\0WAVEfmt \20\0\0\0\1\0\1\0%b\0\0\0\0\2\0\20\0data%b\0\0\0%s' "\\0$(printf %o $(($2 + 36)))" "$3" \
        "\\0$(printf %o "$2")" "$4" > "$1"
}
mkdir -p said/no said/yes
for i in 1 2 3; do
    wav said/no/$i.wav 12 '\0100\0037\0000\0000' "abcdefghijk$i"
    wav said/yes/$i.wav 14 '\0100\0037\0000\0000' "lmnopqrstuvwx$i"
done
makes wav 'samples a second        8000' said --validation 2 --length 6
made --length 6 --validation 2
"$lockstep" inspect out.h5 | grep -q '^sounds cut at length    3$' || failed "inspect does not say what was cut: $("$lockstep" inspect out.h5)"
cat > job.yaml <<'JOB'
model: {kind: s4d, layers: 1, width: 4, state: 2}
task: {kind: classification, pool: mean}
data: {kind: wav, path: out.h5, frame: 2}
train: {steps: 3, batch: 2, warmup: 1}
output: {path: heard}
JOB
expect 0 '' "$lockstep" train job.yaml
for kind in mamba rwkv4 bert gpt; do # they take tokens
    expect 2 'this needs samples with the field "ids", but the data have: values Tx2, length int, label of 2' \
        "$lockstep" train job.yaml model.kind=$kind model.state= model.width=24 output.path=none
done
says 0 'accuracy' eval heard
says 0 'heard.tsv: predictions of 2 samples' predict heard --input out.h5 --text -o heard.tsv
grep -q $'^sample\tclass' heard.tsv && [ "$(wc -l < heard.tsv)" = 3 ] || failed "predict of sounds: $(cat heard.tsv)"
says 3 "said/no/1.wav: is no data set: make one by 'lockstep prepare wav said/no/1.wav -o said/no/1.h5', and give --input said/no/1.h5" \
    predict heard --input said/no/1.wav -o heard.h5
expect 0 '' "$lockstep" prepare wav said -o tested.h5 --label '^(\w+)/' --test-names '3\.wav$'
says 0 'test samples            2' inspect tested.h5
says 0 '(2 samples' eval heard data.path=tested.h5 --split test
mkdir rated
cp -r said/no said/yes rated
wav rated/yes/4.wav 12 '\0200\0076\0000\0000' abcdefghijkl
refuses wav 'rated/yes/4.wav: has 16000 samples a second, but rated/no/1.wav has 8000; nothing is resampled here' rated
expect 0 '' "$lockstep" prepare wav rated/yes/4.wav --rate 16000 --label '4(.)' --classes .,no -o faster.h5
expect 3 'faster.h5: has sounds of 16000 samples a second, but the model has learnt from sounds of 8000' "$lockstep" eval heard data.path=faster.h5 --split train
head -c 50 said/yes/1.wav > rated/yes/4.wav
refuses wav 'rated/yes/4.wav: is cut short, or was written to a pipe: its header says 14 bytes of samples, and 6 are there' rated
: > rated/yes/4.wav
refuses wav 'rated/yes/4.wav: is empty' rated
echo 'no sound' > rated/yes/4.wav
refuses wav 'rated/yes/4.wav: is no sound that is read here' rated
refuses wav 'said/no/1.wav: no folder says its class, since it is named itself' said/no/1.wav
refuses wav 'said/no/1.wav: lies in said/no itself, and in no folder of a class; --label takes the class from names' said/no
refuses wav "said/no/1.wav: --label finds no class in the name 'no/1.wav'" said --label '^(\d)'
mkdir none
refuses wav 'none: has no sounds (*.wav, *.flac, *.ogg)' none
says 2 "--label: '^\d' has no group in parentheses" prepare wav said --label '^\d' -o bad.h5
says 2 "--test-names: '(' is no regular expression: missing closing parenthesis" prepare wav said --test-names '(' -o bad.h5

# ---- every kind there is was tried
says 0 'prepare KIND --help has the options of each' prepare --help
[ "$(wc -l < out.txt)" -le 40 ] || failed "prepare --help has $(wc -l < out.txt) lines"
for kind in $(sed -n '/^kinds/,/^$/s/^  \([a-z_][a-z_]*\)  *.*/\1/p' out.txt); do
    expect 0 '' "$lockstep" prepare "$kind" --help
    grep -q "^usage: lockstep prepare $kind SOURCE... -o FILE.h5 \[options\]$" out.txt && grep -q "^  lockstep prepare $kind " out.txt ||
        failed "prepare $kind --help: $(cat out.txt)"
    grep -q -- '--validation' out.txt && grep -q -- '-o, --output FILE.h5' out.txt || failed "prepare $kind --help lacks options: $(cat out.txt)"
    [ -n "${tried[$kind]:-}" ] || failed "kind $kind is not tried here"
    [ -n "${refused[$kind]:-}" ] || failed "no bad input of kind $kind is tried here"
done
finish
