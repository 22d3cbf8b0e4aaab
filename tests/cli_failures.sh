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

finish
