#!/bin/sh
# A compiler launcher: what clang was to compile is compiled by gcc. For ops and kernels, which use what clang lacks and read no files;
# so they need not be fast either, and are compiled in a third of the time.
shift
for argument; do
    shift
    [ "$argument" = -fopenmp=libomp ] && argument=-fopenmp
    set -- "$@" "$argument"
done
exec gcc "$@" -O1 -g0
