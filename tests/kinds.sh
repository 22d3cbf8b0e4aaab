#!/usr/bin/env bash
# Nobody asks which model, task, kind of data set or procedure there is: outside a member's own files its name is neither compared
# with nor looked up.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
failures=0 seen=0

# check LIST OWN...: names of include/lockstep/LIST.def, and the files that may know them, as patterns with {} for the name
check()
{
    local list=$1 name place own
    shift
    for name in $(sed -nE 's/^[A-Z_]+\((\w+)\)$/\1/p' "include/lockstep/$list.def"); do
        seen=$((seen + 1))
        own=("${@//\{\}/$name}")
        while IFS= read -r place; do
            for pattern in "${own[@]}"; do
                [[ $place == $pattern:* ]] && continue 2
            done
            echo "FAILED: $place"
            failures=$((failures + 1))
        done < <(grep -rnE "(strcmp|_find|ls_data_kind|ls_sealed_open|ls_sealed_create)\([^;]*\"$name\"" src --include='*.[ch]')
    done
}
check models 'src/models/{}.c'
check tasks 'src/tasks/{}.c' 'src/data/data_{}.c'
check data_kinds 'src/data/*'
check procedures 'src/train/procedures/{}*'
echo "$seen names, $failures failed"
[ $failures = 0 ] && [ $seen -gt 10 ]
