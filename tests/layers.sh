#!/usr/bin/env bash
# Each folder of src/ includes headers of itself and of the layers before it only (docs/architecture.md), and mpi.h is dist's alone.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
layers=(base machine simd fft gemm io plot peaks graph ops models tasks config data store dist train decode api cli)
declare -A place
for i in "${!layers[@]}"; do place[${layers[i]}]=$i; done
failures=0 seen=0

# check FILE LAYER: that layer comes no later than the file's own
check()
{
    local own=${1#src/}
    own=${own%%/*}
    seen=$((seen + 1))
    if [ -z "${place[$own]:-}" ] || [ -z "${place[$2]:-}" ] || [ "${place[$2]}" -gt "${place[$own]}" ]; then
        echo "FAILED: $1 includes a header of $2"
        failures=$((failures + 1))
    fi
}
while IFS=: read -r file include; do
    layer=${include#*\"}
    check "$file" "${layer%%/*}"
done < <(grep -rHo '^#include "[a-z0-9_]*/' src | grep -v '"lockstep/')
while IFS=: read -r file _; do
    check "$file" models
done < <(grep -rH '^#include "lockstep/models\?\.\(h\|def\)"' src | grep -v '^src/ops/op_build.h:') # LS_IGNORE
while IFS=: read -r file _; do
    [[ $file == src/dist/* ]] || { echo "FAILED: $file includes mpi.h"; failures=$((failures + 1)); }
done < <(grep -rH '^#include <mpi.h>' src)
echo "$seen includes, $failures failed"
[ $failures = 0 ] && [ $seen -gt 100 ]
