#!/usr/bin/env bash
# The program's commands with tasks beyond language: classes of texts, translation, series; scores, predictions as text, and what
# does not fit.
# usage: cli_tasks.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# ---- Classes: which of two words a line has --------------------------------------------------------------------------------
for i in $(seq 120); do
    words=(the film was long and the seats were hard today)
    [ $((i % 2)) = 0 ] && label=good word=lovely || label=bad word=dreadful
    words[$((i % 10))]=$word
    printf '%s\t%s %s\n' $label "${words[*]}" "$i"
done > lines.tsv
expect 0 "" "$lockstep" prepare lines lines.tsv -o lines.h5 --validation 20
cat > classes.yaml <<YAML
model: {kind: rnn, cell: gru, layers: 1, width: 16}
task: {kind: classification, pool: mean}
data: {kind: lines, path: lines.h5}
train: {steps: 60, batch: 16, learning_rate: 2e-2, warmup: 5, evaluate_every: 20, evaluate_batches: 0}
output: {path: runs/classes, save_every: 20}
YAML
expect 0 "accuracy 1.0000" "$lockstep" train classes.yaml --progress lines
grep -q '"validation_accuracy": ' runs/classes/metrics.jsonl && grep -q '"samples": ' runs/classes/metrics.jsonl || failed "metrics: $(tail -1 runs/classes/metrics.jsonl)"
expect 0 "" "$lockstep" eval runs/classes --best --json
grep -q '"accuracy": 1' out.txt || failed "a word that tells the class was not learnt: $(cat out.txt)"
says 0 "20 samples" predict runs/classes --input lines.h5 -o classes.tsv --text
[ "$(head -1 classes.tsv)" = $'sample\tclass\tbad\tgood' ] && [ "$(wc -l < classes.tsv)" = 21 ] || failed "predictions: $(head -2 classes.tsv)"
says 0 "20 samples" predict runs/classes --input lines.h5 -o classes.h5

# Going on gives the bits of a run that was never stopped; another task is another training.
expect 0 "" "$lockstep" train classes.yaml output.path=runs/parts train.schedule=constant train.steps=20 --progress none
expect 0 "going on" "$lockstep" train classes.yaml output.path=runs/parts train.schedule=constant --progress none
expect 0 "" "$lockstep" train classes.yaml output.path=runs/whole train.schedule=constant --progress none
says 0 "equal" diff runs/parts runs/whole
expect 2 "task.pool" "$lockstep" train classes.yaml output.path=runs/parts task.pool=last train.steps=80

# What does not fit is said by name, before anything is written.
sed 's/^task:.*/task: {kind: pairs}/' classes.yaml > wrong.yaml
expect 2 "tasks that take it are classification" "$lockstep" train wrong.yaml output.path=runs/no
expect 2 "did you mean 'classification'" "$lockstep" train classes.yaml output.path=runs/no task.kind=clasification
[ ! -e runs/no ] || failed "a run that was refused left a folder"
expect 2 "does not go on with a text" "$lockstep" generate runs/classes --prompt "the film"
expect 2 "says no text for a text" "$lockstep" generate runs/classes --input lines.tsv
sed 's/^good/fine/' lines.tsv > other.tsv
expect 0 "" "$lockstep" prepare lines other.tsv -o other.h5 --validation 20
expect 3 "other.h5" "$lockstep" eval runs/classes data.path=other.h5

# ---- Translation: digits to words -----------------------------------------------------------------------------------------
digits=(zero one two three four five six seven eight nine)
for i in $(seq 0 99); do
    printf '%d %d\t%s %s\n' $((i / 10)) $((i % 10)) "${digits[$((i / 10))]}" "${digits[$((i % 10))]}"
done > pairs.tsv
expect 0 "" "$lockstep" prepare pairs pairs.tsv -o pairs.h5 --validation 10
cat > pairs.yaml <<YAML
model: {kind: seq2seq, cell: gru, width: 48}
task: {kind: pairs}
data: {kind: pairs, path: pairs.h5}
train: {steps: 200, batch: 30, learning_rate: 1e-2, warmup: 10, evaluate_every: 0}
output: {path: runs/pairs, save_every: 0}
YAML
expect 0 "" "$lockstep" train pairs.yaml --progress none
says 0 "BLEU" eval runs/pairs --split train
expect 0 "" "$lockstep" eval runs/pairs --split train --json
grep -q '"bleu": ' out.txt || failed "no bleu: $(cat out.txt)"
printf '3 7\n\n9 0\n' > source.txt
expect 0 "3 lines" "$lockstep" generate runs/pairs --input source.txt
[ "$(sed 's/^ *//' out.txt)" = $'three seven\n\nnine zero' ] || failed "translated: $(cat out.txt)"

# A picture of what each word looked at: the digits, in their order.
expect 0 "" "$lockstep" train pairs.yaml model.attention=additive output.path=runs/attends --progress none
expect 0 "3 lines" "$lockstep" generate runs/attends --input source.txt --attention looks.svg
[ "$(sed 's/^ *//' out.txt)" = $'three seven\n\nnine zero' ] || failed "translated with attention: $(cat out.txt)"
[ "$(head -c 4 looks.svg)" = "<svg" ] && [ "$(tail -1 looks.svg)" = "</svg>" ] || failed "no picture: $(head -2 looks.svg)"
for word in 3 7 9 0 three seven nine zero '&lt;/s&gt;'; do
    grep -q "<text.*>$word</text>" looks.svg || failed "the picture has no label $word"
done
[ "$(grep -c '<title>' looks.svg)" = 18 ] || failed "two lines of 3 x 3 weights have $(grep -c '<title>' looks.svg)"
sed -n 's/.*<title>\(.*\) \/ .* \([0-9.]*\)<.title>.*/\1 \2/p' looks.svg | head -9 |
    awk '{sum[$1] += $2} END {for (w in sum) if (sum[w] < 0.99 || sum[w] > 1.01) exit 1}' || failed "weights that do not sum to 1: $(grep '<title>' looks.svg)"
expect 2 "must end in .svg" "$lockstep" generate runs/attends --input source.txt --attention looks.pdf
expect 2 "attends to no source" "$lockstep" generate runs/pairs --input source.txt --attention none.svg
[ ! -e none.svg ] || failed "a picture of nothing was written"
expect 2 "give both" "$lockstep" generate runs/attends --prompt 3 --attention looks.svg
expect 2 "--beams changes nothing without --input: give both" "$lockstep" generate runs/attends --prompt 3 --beams 2
for option in '--prompt a' '--stop a' '--tokens 3' '--message a' '--precision int8' --only-new --json; do
    expect 2 "${option%% *} changes nothing beside --input" "$lockstep" generate runs/attends --input source.txt $option
done

# ---- Series: a sine ----------------------------------------------------------------------------------------------------------
awk 'BEGIN {print "t,value"; for (i = 0; i < 400; i++) printf "%d,%.5f\n", i, 20 + 5 * sin(i / 4)}' > sine.csv
expect 0 "" "$lockstep" prepare series sine.csv --columns value --window 24 --horizon 3 -o sine.h5
expect 0 "" "$lockstep" prepare series sine.csv --columns value --window 24 --horizon 3 --season 25 -o seasonal.h5
cat > sine.yaml <<YAML
model: {kind: rnn, cell: lstm, layers: 1, width: 16}
task: {kind: regression}
data: {kind: series, path: sine.h5}
train: {steps: 150, batch: 16, learning_rate: 1e-2, warmup: 10, evaluate_every: 50, evaluate_batches: 0}
output: {path: runs/sine, save_every: 50}
YAML
expect 0 "" "$lockstep" train sine.yaml --progress none
says 0 "persistence" eval runs/sine --best --json
mae=$(sed -n 's/.*"mae": \([0-9.]*\).*/\1/p' out.txt | head -1) last=$(sed -n 's/.*"persistence_mae": \([0-9.]*\).*/\1/p' out.txt)
awk "BEGIN {exit !($mae < 0.5 * $last)}" || failed "a sine: mean error $mae, of the last value known $last"
expect 0 "" "$lockstep" predict runs/sine --input sine.h5 -o sine.tsv --text
# numbers of another file are scaled by what the model has learnt from
"$lockstep" eval runs/sine --json > own.json 2> /dev/null
expect 0 "" "$lockstep" prepare series sine.csv --columns value --window 24 --horizon 3 --scaling none -o raw.h5
"$lockstep" eval runs/sine data.path=raw.h5 --json > other.json 2> /dev/null
[ "$(grep -o '"loss": [^,]*' own.json)" = "$(grep -o '"loss": [^,]*' other.json)" ] || failed "scaled anew: $(cat own.json other.json)"
expect 0 "" "$lockstep" predict runs/sine --input raw.h5 -o raw.tsv --text
expect 0 "" "$lockstep" predict runs/sine --input sine.h5 -o sine.svg
grep -q '^<svg' sine.svg && grep -q 'what came' sine.svg && grep -q '>value<' sine.svg || failed "no chart: $(head -c 300 sine.svg)"
[ "$(grep -c '<path' sine.svg)" -ge 13 ] || failed "a curve every three of 40 steps: $(grep -c '<path' sine.svg)"
awk 'NR > 1 && ($3 < 13 || $3 > 27) {exit 1}' sine.tsv || failed "forecasts in other units: $(head -3 sine.tsv)"
cmp -s sine.tsv raw.tsv || failed "forecasts of the same rows differ"
says 0 "seasonal mae" eval runs/sine data.path=seasonal.h5

finish
