#!/usr/bin/env bash
# The n-th request of the program for memory gets none (fail_allocation.c): status 7 and a message that says so, or the request did not matter;
# never another status, a signal, or a word about files and settings.
# usage: EVERY=1 cli_memory_each.sh PROGRAM         (every call; the default is each 41st, for a short run)
. "$(dirname "$0")/cli.inc"
every=${EVERY:-41}
preload=$(dirname "$lockstep")/tests/libfail_allocation.so
[ -e "$preload" ] || { echo "no $preload"; exit 1; }

for i in $(seq 200); do echo "line $i of a text that says little"; done > text.txt
printf '{"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "eins"}]}\n' > talk.jsonl
expect 0 '' "$lockstep" prepare chat talk.jsonl -o talk.h5 --validation 0
cat > job.yaml <<JOB
model: {kind: gpt, layers: 1, width: 8, heads: 1, context: 128}
data: {kind: chat, path: talk.h5}
train: {steps: 1, batch: 1, warmup: 0}
output: {path: run}
JOB
expect 0 '' "$lockstep" train job.yaml --progress none

# each COMMAND...: refused its requests one after another
each()
{
    local calls code n
    FAIL_COUNT=calls.txt LD_PRELOAD=$preload "$lockstep" "$@" > out.txt 2> err.txt || failed "$*: $(cat err.txt)"
    calls=$(cat calls.txt)
    [ "$calls" -gt 50 ] || failed "$*: $calls requests for memory are counted"
    for ((n = 1 + every / 2; n <= calls; n += every)); do
        code=0
        FAIL_CALL=$n LD_PRELOAD=$preload "$lockstep" "$@" > out.txt 2> err.txt < /dev/null || code=$?
        [ $code = 0 ] && continue
        refused=$((refused + 1))
        [ $code = 7 ] && grep -qi 'memory' err.txt || failed "$*, request $n of $calls: exit $code: $(grep error err.txt)"
    done
}
refused=0
each prepare chat talk.jsonl -o liked.h5 --validation 0 --like talk.h5 --user '<<'
each train job.yaml --explain train.clip= data.kind=chat
each generate run --message hello --message a --message b --tokens 2 --json --stop abc
each export run -o exported
each inspect talk.h5
[ $refused -gt 20 ] || failed "$refused requests mattered"

finish
