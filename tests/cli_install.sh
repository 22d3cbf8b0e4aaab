#!/usr/bin/env bash
# cmake --install into an empty prefix: the program works from there, and a program that is not ours is built against it, by the CMake
# package and by pkg-config, trains a model of its own over one and two ranks, and saves it.
# usage: cli_install.sh PROGRAM (in the build folder to install from)
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$(dirname "$1")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
quietly() { "$@" > log.txt 2>&1 || { cat log.txt; fail "$*"; }; }
cd "$folder"
export OMP_NUM_THREADS=1

quietly cmake --install "$build" --prefix "$folder/prefix"
for file in bin/lockstep include/lockstep/train.h share/lockstep/jobs/requeue.sh share/lockstep/jobs/gpt2-124m.yaml share/lockstep/datasets/enwik8.sh \
    share/man/man1/lockstep.1 share/man/man1/lockstep-train.1 share/bash-completion/completions/lockstep; do
    [ -s "prefix/$file" ] || fail "$file is not installed"
done
lockstep=$folder/prefix/bin/lockstep
quietly "$lockstep" --version
"$lockstep" datasets > datasets.txt 2>&1 || { cat datasets.txt; fail "lockstep datasets from the prefix"; }
grep -q enwik8 datasets.txt || fail "lockstep datasets does not find the installed recipes: $(cat datasets.txt)"

# Nothing of the source tree is seen: the headers come from the prefix, the example's own folder from a copy.
cp -r "$project/examples/own-model" example
flags=$(sed -n 's/^CMAKE_C_FLAGS:STRING=//p' "$build/CMakeCache.txt")
for instrumented in LOCKSTEP_SANITIZE:-fsanitize=address,undefined LOCKSTEP_COVERAGE:--coverage; do
    grep -q "^${instrumented%%:*}:BOOL=ON" "$build/CMakeCache.txt" && flags+=" ${instrumented#*:}"
done
quietly cmake -S example -B example-build -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror $flags"
quietly cmake --build example-build
export PKG_CONFIG_PATH=$(dirname "$(find prefix -name lockstep.pc)")
# shellcheck disable=SC2046,SC2086
quietly cc -std=gnu17 -Wall -Wextra -Werror $flags $(pkg-config --cflags lockstep) example/own_model.c -o own_model_pc $(pkg-config --libs lockstep)

# The same by the shared library, whose name in the program says the version.
cp -r example shared
sed -i 's/lockstep::lockstep/lockstep::shared/' shared/CMakeLists.txt
quietly cmake -S shared -B shared-build -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror $flags"
quietly cmake --build shared-build
readelf -d shared-build/own_model | grep -q 'NEEDED.*\[liblockstep\.so\.[0-9]*\.[0-9]*\]' || fail "the program does not need the shared library"
readelf -d own_model_pc | grep -q 'NEEDED.*liblockstep' && fail "pkg-config lockstep links the shared library"
# shellcheck disable=SC2046,SC2086
quietly cc -std=gnu17 $flags $(pkg-config --cflags lockstep-shared) example/own_model.c -o own_model_so $(pkg-config --libs lockstep-shared)

quietly "$lockstep" prepare text "$project/docs/architecture.md" -o text.h5 --tokenizer bytes --validation 0.1
./own_model_pc example/bigram.yaml one.h5 > one.txt 2> log.txt || { cat log.txt; fail "the example on one rank"; }
mpirun --allow-run-as-root --oversubscribe --bind-to none -np 2 example-build/own_model example/bigram.yaml two.h5 > two.txt 2> log.txt ||
    { cat log.txt; fail "the example on two ranks"; }
# The same training, whatever the ranks: to the 4 decimals it prints.
diff one.txt two.txt || fail "one and two ranks differ"
for program in shared-build/own_model ./own_model_so; do
    $program example/bigram.yaml shared.h5 > shared.txt 2> log.txt || { cat log.txt; fail "$program on one rank"; }
    diff one.txt shared.txt || fail "$program trains otherwise than the static library"
done
grep -q '60 steps: validation loss' one.txt || fail "the example printed: $(cat one.txt)"
quietly "$lockstep" inspect one.h5 --config
grep -Eq '^# digest of data.path: [0-9a-f]{32}$' log.txt || { cat log.txt; fail "the checkpoint does not know its data"; }

# A task, a kind of data and an op that are the example's own.
cp -r "$project/examples/own-task" task
quietly cmake -S task -B task-build -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror $flags"
quietly cmake --build task-build
quietly task-build/own_task task/xor.yaml
grep -q 'squared distance after 400 steps: 0.0' log.txt || { cat log.txt; fail "exclusive or"; }
quietly mpirun --allow-run-as-root --oversubscribe --bind-to none -np 2 task-build/own_task task/xor.yaml
quietly task-build/own_task ops
grep -q '^chance .*x / (1 + |x|)' log.txt && grep -q '^selective_scan ' log.txt || { cat log.txt; fail "the list of ops in a program of one's own"; }
grep -q '^case 2: forward 924 flops' log.txt || { cat log.txt; fail "the op's cases"; }
grep -q 'chance: all checks passed' log.txt || { cat log.txt; fail "the op's checks"; }
code=0 # the checks see a wrong gradient
sed -i 's/(2 \* wide \* wide)/(3 * wide * wide)/' task/chance.c
quietly cmake --build task-build
task-build/own_task ops > log.txt 2>&1 || code=$?
[ $code = 1 ] && grep -q 'chance.*gradient' log.txt || { cat log.txt; fail "a wrong gradient of the example's op: status $code"; }
code=0
task-build/own_task task/xor.yaml data.rows=5 > log.txt 2>&1 || code=$?
[ $code = 2 ] || fail "a setting of the example's own out of range: status $code"
grep -q 'data.rows' log.txt || { cat log.txt; fail "the message does not name data.rows"; }

# A kind that the installed program knows: it goes on with what the example saved.
quietly ./own_model_pc example/bigram.yaml known.h5 model.kind=gpt model.layers=1 model.heads=2 train.learning_rate=1e-3
"$lockstep" generate known.h5 --prompt "The " --tokens 20 --seed 1 > text.txt 2> log.txt || { cat log.txt; fail "generate"; }
[ "$(wc -c < text.txt)" -ge 20 ] || fail "generate printed $(wc -c < text.txt) bytes"

# A program that uses a trained model says what the installed program says.
cp -r "$project/examples/load-run" load
quietly cmake -S load -B load-build -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror $flags"
quietly cmake --build load-build
load-build/load_run known.h5 "The " > log.txt 2>&1 || { cat log.txt; fail "the example that loads a run"; }
"$lockstep" generate known.h5 --prompt "The " --tokens 20 --temperature 0.8 --seed 1 > text.txt 2> /dev/null
head -1 log.txt | grep -q "^next: '.*' (-\?[0-9.]*)$" || { cat log.txt; fail "the likeliest token"; }
tail -n +2 log.txt | head -c 23 | cmp -s - <(head -c 23 text.txt) || { cat log.txt text.txt; fail "the example goes on otherwise"; }
code=0
load-build/load_run nowhere x > log.txt 2>&1 || code=$?
[ $code = 4 ] && grep -q 'nowhere: there is no such run' log.txt || { cat log.txt; fail "a run that is not there: exit $code"; }

# What is wrong is said, and the exit status is the interface's.
code=0
./own_model_pc example/bigram.yaml wrong.h5 train.bacth=3 > log.txt 2>&1 || code=$?
[ "$code" -eq 2 ] && grep -q "'batch'" log.txt || { cat log.txt; fail "a misspelt setting: exit $code"; }
[ ! -e wrong.h5 ] || fail "a failed session left a checkpoint"
