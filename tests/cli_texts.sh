#!/usr/bin/env bash
# Texts as people keep them, prepared and evaluated: a folder of many files, standard input, archives, JSON lines with bad ones among them; what
# is said of them, on one line; `eval --input` beside a data set of the same text, by file and together, over ranks; `eval --table`.
# usage: cli_texts.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# ---- prepare: one line of report, however many files
mkdir -p many/inner
for i in $(seq 300); do printf 'Text %d of many: to be or not to be.\nLine two of %d.\n' "$i" "$i" > "many/inner/$(printf %03d "$i").txt"; done
printf '\xef\xbb\xbfWith a mark.\r\nAnd returns.\r\n' > many/marked.txt
gzip many/inner/007.txt
echo '{"text": "not this"}' > many/notes.jsonl
expect 0 '301 files, 1 unpacked, 1 byte order mark left out, 1 with CR LF read as LF, 1 passed over, with another ending' \
    "$lockstep" prepare text many -o many.h5 --tokenizer characters --validation 0.1
[ "$(wc -l < err.txt)" = 2 ] || failed "more than the line of the report and that of the file: $(cat err.txt)"
expect 0 '' "$lockstep" prepare text many/inner/*.txt -o apart.h5 --hold-out documents --json
[ "$(grep -c 'many/inner' out.txt)" = 1 ] && grep -q 'and 295 more' out.txt || failed "sources: $(cat out.txt)"
tar cf - many | "$lockstep" prepare text - -o piped.h5 --tokenizer characters --validation 0.1 > out.txt 2> err.txt < /dev/stdin || failed "a pipe: $(cat err.txt)"
tokens() { "$lockstep" inspect "$1" --json | sed -n 's/.*"train_tokens": \([0-9]*\).*/\1/p'; }
[ "$(tokens piped.h5)" = "$(tokens many.h5)" ] || failed "a pipe of an archive: $(tokens piped.h5), of the folder $(tokens many.h5)"
ls | grep -q spool && failed "a temporary file is left"

# ---- what would be read as plain bytes is said
printf '{"text": "one"}\n{"text": "two"}\n' > lines.jsonl
expect 0 'lines.jsonl: looks like JSON lines, and is read as plain text; --field' "$lockstep" prepare text lines.jsonl -o x.h5 --validation 0
printf 'a,b,c\n1,2,3\n4,5,6\n' > table.csv
expect 0 'table.csv: looks like CSV' "$lockstep" prepare text table.csv -o x.h5 --validation 0
expect 0 'looks like gzip' "$lockstep" prepare text many/inner/007.txt.gz -o x.h5 --as-is --validation 0
expect 3 'has no files *.txt, but 1 *.jsonl: --field NAME' "$lockstep" prepare text "$(mkdir -p j && cp lines.jsonl j && echo j)" -o x.h5
{ cat lines.jsonl; echo '{"x": 1}'; echo 'no JSON'; } > mixed.jsonl
says 3 'line 3: has no "text" that is a text; --field names the member' prepare text mixed.jsonl -o x.h5 --field text
says 3 'line 1: has no "body" that is a text, but has text; --field names the member' prepare text mixed.jsonl -o x.h5 --field body
expect 0 '2 texts, 2 bad passed over (the first: mixed.jsonl: line 3' "$lockstep" prepare text mixed.jsonl -o x.h5 --field text --skip-bad --validation 0
# ... each refusal of what --skip-bad passes over says so, once; what it does not pass over says nothing of it
hint='; --skip-bad passes over what is bad and counts it'
printf '{"text": "one"}\n{"text": ""}\n' > blank.jsonl
says 3 "line 2: the text is empty$hint" prepare text blank.jsonl -o x.h5 --field text
says 3 "$hint" prepare text mixed.jsonl -o x.h5 --field text
mkdir holes && : > holes/none.txt && printf 'text' > holes/some.txt && printf 'a\377b' > odd.txt
says 3 "holes/none.txt: is empty$hint" prepare text holes -o x.h5
[ "$(grep -o -- --skip-bad err.txt | wc -l)" = 1 ] || failed "a hint twice: $(cat err.txt)"
says 3 '; --skip-bad passes over files and records that are no UTF-8' prepare text odd.txt holes/some.txt -o x.h5 --tokenizer characters
for bad in "blank.jsonl --field text" holes "odd.txt holes/some.txt --tokenizer characters"; do
    expect 0 '1 bad passed over (the first: ' "$lockstep" prepare text $bad -o x.h5 --skip-bad --validation 0
done
says 3 'missing.txt: No such file' prepare text missing.txt -o x.h5
grep -q -- --skip-bad err.txt && failed "--skip-bad passes over no file that is missing: $(cat err.txt)"
says 3 'missing.txt: No such file' prepare text missing.txt many -o x.h5 --skip-bad
says 3 'standard input: is empty' prepare text - -o x.h5
head -c 40 many/inner/007.txt.gz > cut.gz
says 3 'cut.gz: the gzip file is cut short or damaged' prepare text cut.gz -o x.h5
says 2 'no special tokens' prepare text many -o x.h5 --special
LOCKSTEP_FAULT=full:2 expect 7 'the disk is full' "$lockstep" prepare text many -o y.h5
[ ! -e y.h5 ] || failed "a data set from a full disk"

# ---- what stands between texts, what is held out of several sources, and files that are read twice are said
mkdir between
printf AAAA > between/a.txt
printf BBBB > between/b.txt
expect 0 '2 files; nothing stands between the 2 files: --separator TEXT puts something there' "$lockstep" prepare text between -o x.h5 --validation 0
grep -q '^read  *2 files; nothing stands between' out.txt || failed "inspect does not say it: $(cat out.txt)"
expect 0 'between the 2 texts but a new line behind each record' "$lockstep" prepare text lines.jsonl -o x.h5 --field text --validation 0
expect 0 '' "$lockstep" prepare text between -o x.h5 --validation 0 --separator '\n'
[ "$(sed -n 's/^train tokens  *//p' out.txt)" = 9 ] && ! grep -q 'nothing stands' err.txt || failed "a new line between texts: $(cat out.txt err.txt)"
# how it was made is kept: the options that are not the defaults, as a shell takes them
says 0 "options                 --validation 0 --separator '\\n'" inspect x.h5
expect 0 '' "$lockstep" prepare text between -o y.h5 --tokenizer characters --validation 0.5 --hold-out documents --seed 7 --separator "it's" --skip-bad
says 0 "--tokenizer characters --validation 0.5 --hold-out documents --seed 7 --separator 'it'\\''s' --skip-bad" inspect y.h5
says 0 '"options": "--tokenizer characters ' inspect y.h5 --json
says 0 'vocabulary' prepare text between -o y.h5 --hold-out end --tokenizer bytes # are the defaults
grep -q '^options' out.txt && failed "defaults are options: $(cat out.txt)"
says 2 "--separator: '\x' in 'a\x' is none of \n (a new line), \t (a tab) and \\\\ (a backslash)" prepare text between -o x.h5 --separator 'a\x'
expect 0 'from between/b.txt on (1 of 2 texts): --hold-out documents draws whole texts from all 2 sources' \
    "$lockstep" prepare text between/a.txt between/b.txt -o x.h5 --validation 0.4
grep -A1 '^sources  *between/a.txt$' out.txt | grep -q '^ \{24\}between/b.txt$' || failed "sources below one another: $(cat out.txt)"
for all in '--hold-out documents --validation 0.5' '--validation 0'; do
    expect 0 '' "$lockstep" prepare text between/a.txt between/b.txt -o x.h5 $all
    grep -q 'hold-out end' err.txt && failed "$all: $(cat err.txt)"
done
expect 0 'between/b.txt: is given twice: all of it is read twice' "$lockstep" prepare text between between/b.txt -o x.h5 --validation 0
mv between/a.txt a.txt && cp a.txt between/a.txt && rm a.txt # whatever the numbers of the files
ln between/a.txt other-name.txt
expect 0 'other-name.txt: is the same file as between/a.txt, and 1 more' "$lockstep" prepare text between other-name.txt between/b.txt -o x.h5 --validation 0
rm other-name.txt

# ---- texts and JSON lines in one call
mkdir -p mixed/deep
for i in $(seq 20); do echo "plain text number $i" > "mixed/$i.txt"; done
printf '{"body": "record one"}\n{"body": "record two"}\n{"body": "record three"}\n' > mixed/deep/records.jsonl
echo 'a,b' > mixed/table.csv
expect 0 '21 files, 23 texts, 1 passed over, with another ending' "$lockstep" prepare text mixed -o mixed.h5 --field body --hold-out documents --validation 0.3 --json
expect 0 '2 files, 4 texts' "$lockstep" prepare text mixed/1.txt mixed/deep/records.jsonl -o two.h5 --field body --validation 0
expect 0 '20 files, 2 passed over, with other endings' "$lockstep" prepare text mixed -o plain.h5 --validation 0
says 3 'j: has no files *.txt, but 1 *.jsonl' prepare text j -o x.h5

# ---- eval --input: the same text as a data set and as a file
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, width: 16, heads: 2, context: 16}
data: {path: many.h5}
train: {steps: 30, batch: 4, warmup: 5, learning_rate: 1e-2, evaluate_every: 0, evaluate_batches: 2}
output: {path: run}
JOB
expect 0 '' "$lockstep" train job.yaml --progress none
expect 0 '' "$lockstep" train job.yaml output.path=other train.steps=5 --progress none
field() { sed -n "s/^ *\"$1\": *\([-0-9.e+]*\),\{0,1\}$/\1/p" out.txt | tail -1; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-6 * a && b - a < 1e-6 * a) }'; }
mkdir test
head -5 many/marked.txt > test/b.txt
cat many/inner/00[1-4].txt > test/a.txt
gzip -c many/inner/020.txt > test/c.txt.gz
expect 0 '' "$lockstep" prepare text test/a.txt -o a.h5 --like many.h5 --validation 0
expect 0 '' "$lockstep" eval run data.path=a.h5 --split train --json # windows in another order
expect 0 '' "$lockstep" eval run data.validation_path=a.h5 --json
loss=$(field loss) bits=$(field bits_per_byte) perplexity=$(field perplexity)
expect 0 '' "$lockstep" eval run --input test/a.txt --json
near "$loss" "$(field loss)" && near "$bits" "$(field bits_per_byte)" && near "$perplexity" "$(field perplexity)" ||
    failed "a file and a data set of it: $loss and $(cat out.txt)"
expect 0 '3 files, 1 unpacked, 1 byte order mark' "$lockstep" eval run --input test/ --json
together=$(field loss) all_bits=$(field bits_per_byte)
python3 - <<'PY' || failed "files and together: $(cat out.txt)"
import json, math
all = json.load(open("out.txt"))
files = all["files"]
assert [f["file"] for f in files] == ["test/a.txt", "test/b.txt", "test/c.txt.gz"], files
tokens = sum(f["tokens"] for f in files)
assert tokens == all["tokens"]
close = lambda a, b: abs(a - b) < 1e-6 * a
assert close(all["loss"], sum(f["loss"] * f["tokens"] for f in files) / tokens)
assert close(all["perplexity"], math.exp(all["loss"]))
bits = sum(f["loss"] / math.log(2) * f["tokens"] for f in files) # over the bytes of the targets, as each file has them
assert close(all["bits_per_byte"], bits / sum(f["loss"] / math.log(2) * f["tokens"] / f["bits_per_byte"] for f in files))
PY
expect 0 '' $mpirun -np 2 "$lockstep" eval run --input test --json
near "$together" "$(field loss)" && near "$all_bits" "$(field bits_per_byte)" || failed "two ranks: $together and $(cat out.txt)"
expect 0 '' "$lockstep" eval run --input test
for text in '^file .*loss .*bits per byte .*tokens' '^test/b.txt ' '^run/checkpoints/.*, test: loss .*perplexity'; do
    grep -Eq "$text" out.txt || failed "eval --input: no '$text' in $(cat out.txt)"
done
printf '{"body": "to be or not"}\n{"body": "Text of many"}\n' > test.jsonl
expect 0 '1 file, 2 texts' "$lockstep" eval run --input test.jsonl --field body
"$lockstep" eval run --input - < test/a.txt > out.txt 2> err.txt && grep -q 'loss' out.txt || failed "eval of standard input: $(cat err.txt)"
says 3 'is not one of the 36 of the vocabulary; a model of data prepared with --tokenizer bytes reads every text' eval run --input job.yaml
# what the tokenizer cannot say: refused with the option that passes over it and counts it; the rest is worth what it is alone
says 3 '; --unknown skip passes over what the tokenizer characters cannot say, and counts it' eval run --input job.yaml
printf 'Te\303\274xt of\377 m\342\202\254\001any\n' > strange.txt
printf 'Text of many\n' > plain.txt
says 3 '; --unknown skip' eval run --input strange.txt
expect 0 'strange.txt: passed over 4 characters that the tokenizer characters cannot say, the first of them '"'ü'" \
    "$lockstep" eval run --input strange.txt --input plain.txt --unknown skip --json
python3 - <<'PY' || failed "--unknown skip: $(cat out.txt)"
import json
said = json.load(open("out.txt"))
strange, plain = said["files"]
assert (strange["unknown_characters"], plain["unknown_characters"], said["unknown_characters"]) == (4, 0, 4), said
assert said["tokens"] == 24 and all(strange[name] == plain[name] for name in strange if name not in ("file", "unknown_characters")), said
PY
expect 0 '' $mpirun -np 2 "$lockstep" eval run --input strange.txt --unknown skip
[ "$(grep -c 'passed over 4' err.txt)" = 1 ] || failed "ranks that all warn: $(cat err.txt)"
printf "\377\376" > odd2.txt
says 3 "has 0 tokens" eval run --input odd2.txt --unknown skip
printf '{"body": "to be"}\n{"body": ""}\nno JSON\n{"body": "or not"}\n' > holes.jsonl
says 3 "holes.jsonl: line 2: the text is empty$hint" eval run --input holes.jsonl --field body
expect 0 '1 file, 2 texts, 2 bad passed over (the first: holes.jsonl: line 2: the text is empty)' \
    "$lockstep" eval run --input holes.jsonl --field body --skip-bad
for option in --skip-bad '--unknown skip' '--field body' --special; do
    says 2 "eval: ${option%% *} changes nothing without --input: give both" eval run $option
done
says 2 'eval: --split changes nothing beside --input: leave one of them out' eval run --split test --input test
says 2 '--special: the tokenizer characters has no special tokens' eval run --input plain.txt --special
# a text of the command line is a mistake there, one of a file is data
says 2 "generate: --prompt 'tü': line 1, byte 1: the character U+00FC" generate run --prompt 'tü'
says 3 'strange.txt: line 1, byte 2: the character U+00FC' generate run --prompt-file strange.txt
says 3 'missing' eval run --input missing.txt

# ---- what is no text is told where texts are read, by a model that reads all bytes too
expect 0 '' "$lockstep" prepare text test/a.txt -o bytes.h5 --validation 0
expect 0 '' "$lockstep" train job.yaml --progress none data.path=bytes.h5 output.path=bytes train.steps=2 train.warmup=0
expect 0 '' "$lockstep" export bytes -o weights
weights=weights/model.safetensors
expect 0 "$weights: looks like safetensors, and is read as plain text; a model is imported" "$lockstep" eval bytes --input $weights
expect 0 "$weights: looks like safetensors, and is read as plain text" "$lockstep" prepare text $weights -o x.h5
head -c 16 $weights > head.bin
expect 0 "head.bin: looks like" "$lockstep" generate bytes --prompt-file head.bin --tokens 1
expect 0 "head.bin: looks like" "$lockstep" predict bytes --input head.bin -o x.h5
printf '\x89HDF\r\n\x1a\n......' > other.h5
expect 0 "other.h5: looks like HDF5, and is read as plain text" "$lockstep" predict bytes --input other.h5 -o x.h5
expect 0 "other.h5: looks like HDF5, and is read as plain text" "$lockstep" eval bytes --input other.h5
printf 'to be' > short.txt
expect 0 '' "$lockstep" generate bytes --prompt-file short.txt --tokens 1
! grep -q 'looks like' err.txt || failed "a text looks like something else: $(cat err.txt)"
expect 2 'one rank alone has standard input' $mpirun -np 2 "$lockstep" eval run --input -
expect 0 '2 inputs: 2 files' "$lockstep" eval run --input test/a.txt --input test/b.txt --json # several, by file and together
python3 - <<'PY' || failed "two inputs: $(cat out.txt)"
import json
all = json.load(open("out.txt"))
assert all["input"] == ["test/a.txt", "test/b.txt"] == [f["file"] for f in all["files"]], all
assert abs(all["loss"] - sum(f["loss"] * f["tokens"] for f in all["files"]) / all["tokens"]) < 1e-6
PY
expect 0 '' "$lockstep" eval run --input test/a.txt --input test/b.txt
grep -q 'checkpoints/.*, test/a.txt and test/b.txt: loss' out.txt || failed "two inputs: $(cat out.txt)"
says 2 'standard input is read once' eval run --input - --input -
says 2 'eval: --batches is given twice, 1 and 2, and takes one: leave one out' eval run --batches 1 --batches=2
says 2 'prepare: --tokenizer is given twice' prepare text test/a.txt -o twice.h5 --tokenizer bytes --tokenizer words
expect 0 '' "$lockstep" eval run --batches 1 --batches 1 # nothing is lost
printf 't' > one.txt
says 3 'one.txt: has 1 token:' eval run --input one.txt
for i in $(seq 30); do printf 'good\ta fine film %d\nbad\ta dull film %d\n' "$i" "$i"; done > films.tsv
expect 0 '' "$lockstep" prepare lines films.tsv -o films.h5 --validation 10
expect 0 '' "$lockstep" train job.yaml model.kind=bert task.kind=classification data.kind=lines data.path=films.h5 train.steps=2 output.path=films --progress none
says 2 'films is not evaluated on plain text (data.kind lines, task.kind classification)' eval films --input test

# ---- the way to the right door
expect 0 '' "$lockstep" prepare text test/a.txt -o of-run.h5 --like run --validation 0
expect 0 '' "$lockstep" prepare text test/a.txt -o of-file.h5 --like run/checkpoints/step-00000030.h5 --validation 0
same_tokens() { "$lockstep" inspect "$1" --json | grep -E '"(vocabulary|train_tokens|tokenizer)"'; }
[ "$(same_tokens of-run.h5)" = "$(same_tokens a.h5)" ] && [ "$(same_tokens of-file.h5)" = "$(same_tokens a.h5)" ] ||
    failed "--like a run: $(same_tokens of-run.h5)"
expect 0 '' "$lockstep" prepare lines films.tsv -o more.h5 --like films --validation 10
expect 0 '' "$lockstep" eval films data.path=more.h5 --json
says 2 '--tokenizer run: this is a run: --like run' prepare text test/a.txt -o x.h5 --tokenizer run
says 2 'test: there is no checkpoint in it; a data set, a run or a checkpoint' prepare text test/a.txt -o x.h5 --like test
says 3 "test/a.txt: is no data set: make one by 'lockstep prepare text test/a.txt -o test/a.h5', and set data.path=test/a.h5" \
    train job.yaml data.path=test/a.txt output.path=x
says 3 "'lockstep prepare text test/ -o test.h5'" train job.yaml data.path=test/ output.path=x
says 3 "prepare text test.jsonl -o test.h5 --field text'" train job.yaml data.path=test.jsonl output.path=x
says 3 "prepare lines films.tsv -o films.h5'" train job.yaml model.kind=bert task.kind=classification data.kind=lines data.path=films.tsv output.path=x
cp test/a.txt "it's a.txt"
says 3 "prepare text 'it'\''s a.txt' -o 'it'\''s a.h5''" train job.yaml "data.path=it's a.txt" output.path=x
says 3 "data/none.h5: No such file or directory (data.path, seen from the folder of this call, $PWD)" train job.yaml data.path=data/none.h5 output.path=x
mkdir elsewhere && cd elsewhere
says 3 'many.h5: No such file or directory (data.path, seen from the folder of this call,' eval --table ../run ../other
cd ..
[ ! -e x ] || failed "a run folder of nothing"
says 2 'lockstep eval run --input test/a.txt' eval run data.path=test/a.txt
expect 0 '' "$lockstep" export run -o folder
expect 0 '' "$lockstep" import folder -o imported
says 2 '--input FILE evaluates texts, data.path=FILE.h5 a data set' eval imported
expect 0 '' "$lockstep" eval imported --input test/a.txt --json
near "$loss" "$(field loss)" || failed "an imported run on a file: $loss and $(cat out.txt)"
for command in 'generate folder --prompt t' 'eval folder' 'predict folder --ids 1 -o x.h5' 'generate folder/model.safetensors --prompt t'; do
    says 4 "these are weights, not a run: 'lockstep import" $command
done
says 2 'folder: is a folder of weights, not a run: --tokenizer folder' prepare text test/a.txt -o x.h5 --like folder
says 4 "of which 'lockstep import' makes a run" inspect folder

# ---- eval --table
expect 0 '' "$lockstep" eval --table run other
[ "$(wc -l < out.txt)" = 3 ] && grep -Eq '^run +step +loss' out.txt && grep -Eq '^other +5 ' out.txt || failed "a table: $(cat out.txt)"
expect 0 '' "$lockstep" eval --table run other data.validation_path=a.h5 --json
near "$loss" "$(field loss)" && failed "the last row is of the other run: $(cat out.txt)"
[ "$(grep -c '"loss"' out.txt)" = 2 ] || failed "a table as JSON: $(cat out.txt)"
expect 0 '' "$lockstep" eval --table other run --input test/a.txt --json
near "$loss" "$(field loss)" || failed "a table of texts: $loss and $(cat out.txt)"
expect 0 '' $mpirun -np 2 "$lockstep" eval --table run other
expect 0 '' "$lockstep" eval --table run other --csv
python3 - <<'PY' || failed "a table as CSV: $(cat out.txt)"
import csv
rows = list(csv.DictReader(open("out.txt", newline="")))
assert [row["run"] for row in rows] == ["run", "other"] and all(float(row["loss"]) > 0 for row in rows), rows
PY
for seed in 2 3; do expect 0 '' "$lockstep" train job.yaml output.path=other-$seed train.seed=$seed train.steps=5 --progress none; done
expect 0 '' "$lockstep" eval --table other other-2 run other-3 --json
cp out.txt single.json
expect 0 '' $mpirun -np 2 "$lockstep" eval --table other other-2 run other-3 --json --seeds # runs of other seeds are one row
python3 - <<'PY' || failed "means over seeds: $(cat single.json out.txt)"
import json, statistics
single = {row["run"]: row for row in json.load(open("single.json"))}
rows = json.load(open("out.txt"))
assert [(row["run"], row["runs"]) for row in rows] == [("other*", 3), ("run", 1)], rows
loss = [single[name]["loss"] for name in ("other", "other-2", "other-3")]
assert abs(rows[0]["loss"] - statistics.mean(loss)) < 1e-6 and abs(rows[0]["loss_sd"] - statistics.stdev(loss)) < 1e-6, (rows, loss)
assert len(set(loss)) == 3 and rows[0]["step"] == 5 and rows[1]["loss_sd"] is None, rows
PY
expect 0 '' "$lockstep" eval --table other other-2 run --seeds
grep -Eq '^run +runs +step +loss +loss sd ' out.txt && grep -Eq '^other\* +2 +5 ' out.txt || failed "a table of means: $(cat out.txt)"
mkdir seeds && cp -r other seeds/gpt-10 && cp -r other-2 seeds/gpt-11 && cp -r other zero && cp -r other-2 7
expect 0 '' "$lockstep" eval --table seeds/gpt-10 seeds/gpt-11 --seeds
grep -Eq '^seeds/gpt-\* +2 ' out.txt || failed "the name of a row of several runs: $(cat out.txt)"
expect 0 '' "$lockstep" eval --table zero 7 --seeds
grep -Eq '^zero and 1 more +2 ' out.txt || failed "the name of runs with nothing in common: $(cat out.txt)"
for option in --seeds --csv; do says 2 "eval: $option changes nothing without --table: give both" eval run $option; done
says 2 'eval: --csv changes nothing beside --json' eval --table run other --csv --json
says 2 'eval --table: name a run, or several' eval --table data.path=x.h5
says 2 'model.kind=mamba: the weights are those of a model gpt, and fit no other' eval run model.kind=mamba
says 4 'nowhere' eval --table run nowhere
says 2 'other is a second run: --table' eval run other
says 2 'test/a.txt is no run: texts are evaluated by --input test/a.txt' eval run test/a.txt
says 2 'a.h5 is a data set: write data.path=a.h5' eval run a.h5
says 2 'there is no option --file; here it is --input' eval run --file test/a.txt
says 2 "'to be' is no setting; a text to go on with is --prompt 'to be'" generate run 'to be'
says 2 'there is no option --max-new-tokens; here it is --tokens' generate run --prompt 'to be' --max-new-tokens 5
says 2 'run: this is a folder, a file is needed: the job of this run is run/config.yaml' train run
says 2 'job file (YAML) names these weights as train.init' train folder
finish
