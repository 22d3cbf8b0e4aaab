#!/usr/bin/env bash
# Every command's help, versions, names that do not exist, and bad input: exit status and message as a user sees them.
# usage: cli_commands.sh PROGRAM
set -uo pipefail
lockstep=$1
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

failed()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS TEXT ARGUMENT...: the program ends with this status; its stderr (stdout where STATUS is 0) contains TEXT; an error is
# told in one message
expect()
{
    local status=$1 text=$2 code=0
    shift 2
    "$lockstep" "$@" > out.txt 2> err.txt < /dev/null || code=$?
    [ "$code" = "$status" ] || failed "lockstep $*: exit $code, expected $status: $(head -c 600 err.txt)"
    local where=err.txt
    [ "$status" = 0 ] && where=out.txt
    grep -qF -- "$text" $where || failed "lockstep $*: no '$text' in: $(head -c 600 $where)"
    if [ "$status" != 0 ] && [ "$(grep -c '^lockstep: error: ' err.txt)" != 1 ]; then
        failed "lockstep $*: not exactly one error line: $(head -c 600 err.txt)"
    fi
}

# ---- the frame
expect 0 'usage: lockstep COMMAND' --help
expect 0 'instruction set' --version
for name in lockstep git compiler MPI HDF5 oneDNN OpenMP; do
    grep -q "^$name  *[^ ]" out.txt || failed "--version says nothing of $name"
done
"$lockstep" > out.txt 2> err.txt && failed "no command: exit 0"
commands=$("$lockstep" --help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<< "$commands")" -ge 2 ] || failed "commands found in --help: $commands"
for command in $commands; do
    expect 0 "lockstep $command" "$command" --help
    grep -q '^example:' out.txt || failed "$command --help has no example"
    grep -q -- '--help' out.txt || failed "$command --help does not name --help"
    [ -s err.txt ] && failed "$command --help wrote to stderr: $(head -c 300 err.txt)"
    awk 'length > 120' out.txt | grep -q . && failed "$command --help has lines over 120 columns"
    grep -q ' $' out.txt && failed "$command --help has spaces at line ends"
    expect 2 'no option --no-such-thing' "$command" --no-such-thing
done
expect 2 "did you mean 'models'" modles
expect 2 "there is no command 'zzzzzz' (lockstep --help" zzzzzz
expect 2 "did you mean '--json'" models --jsno
expect 2 'too many arguments' models gpt mamba
expect 2 "--json: 'maybe' is neither true nor false" models --json=maybe
"$lockstep" models > /dev/full 2> err.txt; code=$?
[ $code = 7 ] && grep -q 'No space left' err.txt || failed "full disk under stdout: exit $code: $(cat err.txt)"
"$lockstep" models >&- 2> err.txt; code=$?
[ $code = 1 ] && grep -q 'standard output' err.txt || failed "closed stdout: exit $code: $(cat err.txt)"
("$lockstep" models gpt 2> err.txt; echo $? > code.txt) | true
[ "$(cat code.txt)" = 1 ] && grep -q 'Broken pipe' err.txt || failed "closed pipe: exit $(cat code.txt): $(cat err.txt)"
LOCKSTEP_ISA=v9 expect 2 'LOCKSTEP_ISA=v9: unknown' --version

# ---- models, ops
expect 0 'learning_rate' models gpt
expect 2 "did you mean 'gpt'" models gtp
expect 0 '"choices": "layer|rms"' models gpt --json
expect 0 'layer_norm' ops
expect 0 'case 0' ops rms_norm
expect 2 "did you mean 'linear'" ops liner
for op in $("$lockstep" ops | cut -d' ' -f1); do
    expect 0 'case 0' ops "$op"
done
expect 0 '"has_gradient": true' ops linear --json
exit $((failures > 0))
