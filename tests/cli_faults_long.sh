#!/usr/bin/env bash
# The n-th system call that writes, or reads, fails (LOCKSTEP_FAULT, src/io/fault.h), for every n of train, prepare, import, export, eval,
# generate and predict: exit status and message are as documented, older files stay whole, and once the command is given again its
# result is the one of an undisturbed command, with nothing left beside it.
# usage: EVERY=1 cli_faults_long.sh PROGRAM         (EVERY=7: every seventh call, for a short run; COMMANDS="train eval": these alone)
. "$(dirname "$0")/cli.inc"
every=${EVERY:-1}
commands=${COMMANDS:-prepare import export train eval generate predict}

random_words 3000 > text.txt
random_words 300 | tr 'a-m' 'n-z' > older.txt
prepare data.h5 --tokenizer characters --validation 0.1
printf 'good\ta fine film\nbad\ta dull film\ngood\tseven ships sail by\nbad\ta mat\n' > lines.tsv
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, heads: 2, width: 16, context: 8}
data: {path: data.h5}
train: {steps: 4, batch: 2, sequence: 8, schedule: constant, evaluate_every: 2, evaluate_batches: 1}
output: {path: out, save_every: 1, keep: 10}
JOB
expect 0 '' "$lockstep" train job.yaml output.path=x
expect 0 '' "$lockstep" train job.yaml output.path=short train.steps=2
expect 0 '' "$lockstep" export x -o exported
expect 0 '' "$lockstep" export short -o older

# Files by name and content, without those that hold times.
state() { (cd "$1" 2> /dev/null && find . -type f ! -name log.txt ! -name metrics.jsonl ! -name '*.lock' ! -name status -exec cksum {} + | sort -k 3); }
left() { find . \( -name '*.tmp-*' -o -name '*.lock' -o -name '*.aside' -o -name '*.damaged' \) ! -path './x/*' | xargs; }

# before: what is there when each command begins. The functions leave an older result where there can be one.
before_file() { rm -rf out.h5 && cp older.h5 out.h5; }
before_none() { rm -rf out; }
before_export() { rm -rf out && cp -r older out; }
before_train() { rm -rf out && cp -r short out; }
before_nothing() { :; }

# whole: what must hold after a failure
whole_file() { cmp -s older.h5 out.h5 || cmp -s good/out.h5 out.h5; }
whole_none() { :; }
whole_nothing() { :; }
whole_train() # the older checkpoints are there, byte for byte
{
    local file
    for file in short/checkpoints/*.h5; do cmp -s "$file" "out/checkpoints/${file##*/}" || return 1; done
}
whole_export() # each file is the older one or the new one
{
    local file
    for file in out/*; do
        case $file in *.tmp-* | *.lock) continue ;; esac
        cmp -s "$file" "older/${file##*/}" || cmp -s "$file" "good/out/${file##*/}" || return 1
    done
}

# good: the undisturbed result, for comparison
good() { rm -rf good && mkdir good && { [ ! -e out.h5 ] || cp out.h5 good/; } && { [ ! -e out ] || cp -r out good/; } && cp out.txt good/; }
untimed() { grep -v 'second' "$1" | sed 's/ in [0-9.]* s.*//'; }
same_result()
{
    { [ ! -e good/out.h5 ] || cmp -s out.h5 good/out.h5; } && [ "$(state out)" = "$(state good/out)" ] &&
        { [ "$1" != nothing ] || cmp -s <(untimed out.txt) <(untimed good/out.txt); }
}

# statuses that a kind of fault may end with
allowed()
{
    case $1 in
        full) [[ $2 = [07] ]] ;;
        error | read) [[ $2 = [0134] ]] ;;
        short) [ "$2" = 0 ] ;;
        kill) [[ $2 = 137 || $2 = 0 ]] ;;
    esac
}

total=0
# one KIND N BEFORE COMMAND...: $code is its exit status
one()
{
    local kind=$1 n=$2 before=$3
    shift 3
    "before_$before"
    { LOCKSTEP_FAULT=$kind:$n "$@" > out.txt 2> err.txt < /dev/null; } 2> shell.txt
    code=$?
    total=$((total + 1))
    allowed "$kind" $code || failed "$kind:$n $*: exit $code: $(head -c 600 err.txt)"
    if [ $code != 0 ] && [ $code != 137 ]; then
        [ "$(grep -c '^lockstep: error: ' err.txt)" = 1 ] || failed "$kind:$n $*: not one error line: $(head -c 600 err.txt)"
        [ "$kind" != full ] || grep -q 'No space left' err.txt || failed "$kind:$n $*: no reason: $(head -c 600 err.txt)"
        [ "$kind" = full ] || grep -q 'Input/output error' err.txt || failed "$kind:$n $*: no reason: $(head -c 600 err.txt)"
    fi
    [ $code = 0 ] || "whole_$before" || failed "$kind:$n $*: an older file was changed"
    if [ $code != 0 ]; then
        "$@" > out.txt 2> err.txt < /dev/null || grep -q 'has checkpoints already' err.txt || failed "$* after $kind:$n: $(head -c 600 err.txt)"
    fi
    same_result "$before" || failed "$* after $kind:$n: another result: $(diff <(state out) <(state good/out) | head -5)"
    [ -z "$(left)" ] || { failed "$* after $kind:$n: left $(left)" && find . \( -name '*.tmp-*' -o -name '*.lock' \) ! -path './x/*' -delete; }
}

# sweep BEFORE COMMAND...
sweep()
{
    local before=$1 kind n writes=0 passed
    shift
    [[ " $commands " = *" $2 "* ]] || return 0
    "before_$before"
    expect 0 '' "$@"
    good
    for ((n = 1; ; n += every)); do # a kill tells how many calls there are
        one kill $n "$before" "$@"
        [ "$code" = 137 ] || break
        [ $failures -lt 20 ] || return
    done
    writes=$((n - 1))
    for kind in full error short; do
        for ((n = 1; n <= writes; n += every)); do
            one $kind $n "$before" "$@"
            [ $failures -lt 20 ] || return
        done
    done
    passed=0
    for ((n = 1; passed < 12; n += every)); do # some files may be unreadable: the peaks of the machine, for instance
        one read $n "$before" "$@"
        if [ "$code" = 0 ]; then passed=$((passed + 1)); else passed=0; fi
        [ $failures -lt 20 ] || return
    done
    echo "${*:2:2}: up to call $writes of those that write, $((n - 1 - 12 * every)) of those that read"
}

expect 0 '' "$lockstep" prepare text older.txt -o older.h5 --tokenizer characters
sweep file "$lockstep" prepare text text.txt -o out.h5 --tokenizer characters --validation 0.1
sweep file "$lockstep" prepare lines lines.tsv -o out.h5 --validation 0
sweep none "$lockstep" import "$fixtures/gpt2-tiny" -o out
sweep export "$lockstep" export x -o out
sweep train "$lockstep" train job.yaml
sweep nothing "$lockstep" eval x
sweep nothing "$lockstep" generate x --prompt the --tokens 3 --temperature 0
sweep file "$lockstep" predict x --ids 1,2,3 -o out.h5
echo "$total commands with a fault"

finish
