#!/usr/bin/env bash
# The baseline compiles for another architecture, without warnings: base, gemm, graph and every op in every precision, by Debian's cross compiler
# for aarch64. Nothing is run. In double, which only checks compute with, the ops are read and not translated.
# usage: aarch64.sh COMPILER GENERATED_FOLDER
set -uo pipefail
compiler=$1 generated=$2
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=(-std=gnu17 -D_GNU_SOURCE -DLOCKSTEP_VERSION='"0"' -fopenmp -O0 -fno-math-errno -fno-trapping-math -Iinclude -Isrc -I"$generated"
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-sign-conversion
    -Wno-missing-field-initializers -Werror)
failures=0 files=0 how=-c

# compile NAME FILE FLAG...
compile()
{
    local name=$1 file=$2
    shift 2
    files=$((files + 1))
    rm -f "$folder/object.o"
    "$compiler" "${flags[@]}" "$@" $how "$file" -o "$folder/object.o" 2> "$folder/errors" && { [ -s "$folder/object.o" ] || [ $how != -c ]; } && return
    echo "FAILED: $file$name: $(head -c 900 "$folder/errors")"
    failures=$((failures + 1))
}

for file in src/base/*.c src/graph/*.c; do
    [ "$file" = src/graph/op_table.c ] || compile '' "$file" # whose list of builds is the host's
done
for file in src/gemm/*.c; do
    compile '' "$file" -DLS_LEVEL=_base -DLS_LEVEL_ISA=LS_ISA_BASELINE # means nothing to those built once
done
# compile_ops NAME FLAG...: what all ops include is read once
compile_ops()
{
    local name=$1 header=ops/op_build.h
    shift
    mkdir -p "$folder/$name/ops"
    "$compiler" "${flags[@]}" "$@" -x c-header src/$header -o "$folder/$name/$header.gch" || exit 1
    for file in src/ops/*.c; do compile " in $name" "$file" -I"$folder/$name" -include $header -Winvalid-pch "$@"; done
}
compile_ops float -DLS_OP_BUILD=_f32_base -DLS_BUILD_FLOAT32 -DLS_OP_PRIMARY
compile_ops bfloat16 -DLS_OP_BUILD=_bf16_base -DLS_BUILD_BFLOAT16
how=-fsyntax-only
compile_ops double -DLS_OP_BUILD=_f64_base -DLS_BUILD_FLOAT64
echo "$files files, $failures failed"
[ $failures = 0 ] && [ $files -gt 50 ]
