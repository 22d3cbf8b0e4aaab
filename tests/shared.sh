#!/usr/bin/env bash
# The shared library: its name and version, what it shows (names that begin with ls_, those of the public headers all of them), and
# that loading it changes nothing in a process.
# usage: shared.sh LIBRARY SHARED_LOAD
set -uo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
library=$1 load=$2
failures=0
failed() { echo "FAILED: $*"; failures=$((failures + 1)); }

version=$(sed -nE 's/^project\(lockstep VERSION ([0-9.]+).*/\1/p' "$project/CMakeLists.txt")
readelf -d "$library" | grep -q "SONAME.*\[liblockstep.so.${version%.*}\]" || failed "the name is $(readelf -d "$library" | grep SONAME)"
[ "$(basename "$(readlink -f "$library")")" = "liblockstep.so.$version" ] || failed "$library is no link to liblockstep.so.$version"
readelf -d "$library" | grep -q TEXTREL && failed "it is not position-independent"

names=$(nm -D --defined-only "$library" | awk '{print $3}')
others=$(grep -v '^ls_' <<< "$names")
[ -z "$others" ] || failed "it shows $(head -5 <<< "$others" | tr '\n' ' ')"
wanted=$(sed -nE 's/^[A-Za-z].*[ *](ls_[a-z0-9_]+)\(.*/\1/p' "$project"/include/lockstep/{api,train,model,graph,status,base,data}.h | sort -u)
missing=$(comm -23 <(echo "$wanted") <(sort -u <<< "$names"))
[ -z "$missing" ] || failed "headers declare what it lacks: $(tr '\n' ' ' <<< "$missing")"
echo "$(wc -l <<< "$wanted") functions of the headers"
[ "$(wc -l <<< "$wanted")" -gt 100 ] || failed "the headers could not be read"

# Nothing of a user's settings, so that what is set was set by the library.
env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY "$load" "$library" || failed "loading"
[ $failures = 0 ]
