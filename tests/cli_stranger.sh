#!/usr/bin/env bash
# CONTRIBUTING.md's example op, model, task, kind of data set and procedure, taken from the page, put into a copy of the tree: they touch
# one new file and one list line each, build without warnings, pass the op's checks, and train, resume and generate.
# The copy's own CMake project compiles the new files and those that contain a list; all other objects are those that PROGRAM was made of, whose
# sources are the same but for declarations of more builders. cli_stranger_long.sh compiles all of the copy.
# usage: cli_stranger.sh PROGRAM [whole]
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
tested=$(cd "$(dirname "$1")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# The tree without what was built.
copy_tree()
{
    mkdir "$1"
    cp -r "$project"/{CMakeLists.txt,cmake,include,src,jobs,datasets,tests} "$1"
}
copy_tree "$folder/before"
cp -r "$folder/before" "$folder/after"

# Blocks of the page: ```c PATH is a new file, ```c PATH + lines to append.
awk -v root="$folder/after/" '
    /^```c [a-z]/ { path = root $2; append = $3 == "+"; if (!append) { printf "" > path; created++ } next }
    /^```/ { if (path != "") close(path); path = ""; next }
    path != "" { if (append) print >> path; else print > path }
    END { if (created != 5) exit 1 }' "$project/CONTRIBUTING.md" || fail "CONTRIBUTING.md should hold five new files"

# What that touches: one new file and one line of one list each, and nothing else.
expected="Only in after/src/data: data_truth_table.c
Only in after/src/models: conv_lm.c
Only in after/src/ops: squared_relu.c
Only in after/src/tasks: brier.c
Only in after/src/train/procedures: repeated.c
after/include/lockstep/data_kinds.def +DATA_KIND(truth_table)
after/include/lockstep/models.def +MODEL(conv_lm)
after/include/lockstep/ops.def +OP(squared_relu, (LsGraph * g, LsTensor *x))
after/include/lockstep/procedures.def +PROCEDURE(repeated)
after/include/lockstep/tasks.def +TASK(brier)"
lists=(data_kinds models ops procedures tasks)
cd "$folder"
touched=$({
    diff -rq before after | grep '^Only in'
    for list in "${lists[@]}"; do
        diff before/include/lockstep/$list.def after/include/lockstep/$list.def | grep '^[<>]' |
            sed "s/^> /after\/include\/lockstep\/$list.def +/"
    done
    diff -rq before after | grep '^Files' | grep -vF "$(printf 'lockstep/%s.def \n' "${lists[@]}")" || true
} | LC_ALL=C sort)
[ "$touched" = "$expected" ] || fail "touched is
$touched"

[ -f "$tested/CMakeCache.txt" ] || fail "$1 is in no build folder"
command -v ninja > /dev/null || fail 'ninja is missing (cmake/packages.sh installs it)'

# loudly_failing COMMAND...
loudly_failing() { "$@" > build.log 2>&1 || { tail -40 build.log; fail "the copy does not build: $*"; }; }

# configure OPTION...
configure()
{
    if command -v ccache > /dev/null; then
        set -- "$@" -DCMAKE_C_COMPILER_LAUNCHER=ccache
        export CCACHE_BASEDIR=$folder CCACHE_NOHASHDIR=1
    fi
    loudly_failing cmake -S after -B build -G Ninja -DLOCKSTEP_WERROR=ON "$@"
}

# objects PATTERN: of the copy's sources whose names match
objects() { ninja -C build -t targets all | sed -n 's/^\(.*\.c\.o\): .*/\1/p' | grep -E "/src/($1)\.c\.o$"; }

# link TARGET: as the copy's project would, but that the objects made here come before the library, whose elders of them are not taken then
link()
{
    loudly_failing ninja -C build "${changed[@]}"
    ninja -C build -t commands "$1" | tail -n 1 | sed "s|liblockstep\.a|${changed[*]} &|" > link.sh
    (cd build && sh ../link.sh) > build.log 2>&1 || { tail -40 build.log; fail "the copy does not link $1"; }
}

new='ops/squared_relu|models/conv_lm|tasks/brier|data/data_truth_table|train/procedures/repeated'
if [ "${2:-}" = whole ]; then
    # Not optimised, and the ops for one instruction set: this is about what is there, not how fast it is.
    configure -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG=-O0 -DLOCKSTEP_OP_LEVELS=
    make_program() { loudly_failing cmake --build build -j 2 --target lockstep_program; }
    make_checks() { loudly_failing cmake --build build -j 2 --target test_ops; }
else
    mapfile -t options < <(grep -E '^(CMAKE_BUILD_TYPE|CMAKE_C_FLAGS[A-Z_]*|CMAKE_C_COMPILER|LOCKSTEP_(SANITIZE|COVERAGE|EMULATE_AMX|OP_LEVELS)):' \
        "$tested/CMakeCache.txt" | sed 's/^/-D/')
    configure "${options[@]}"
    # Sources that contain a list, by themselves or by what CMake makes of it (op_tables.h). Headers only declare builders.
    listed=$(cd after/src && grep -lrE --include='*.c' 'lockstep/(ops|models|tasks|data_kinds|procedures)\.def|op_tables\.h' . | sed 's/^\.\///; s/\.c$//' | paste -sd '|')
    [ "$(tr '|' '\n' <<< "$listed" | wc -l)" -ge 5 ] || fail "sources with a list: $listed"
    mapfile -t changed < <(objects "$new|$listed")
    [ "$(objects "$new" | wc -l)" -ge 7 ] || fail "CMake does not find the new files: $(objects "$new")"
    ln -s "$tested/liblockstep.a" build/
    for part in CMakeFiles/lockstep_program.dir tests/CMakeFiles/test_ops.dir tests/libharness.a; do
        cp -r "$tested/$part" build/"$(dirname "$part")"/
    done
    make_program() { link lockstep; }
    make_checks() { link tests/test_ops; }
fi

make_checks
build/tests/test_ops squared_relu > ops.log 2>&1 || { cat ops.log; fail "the op's checks"; }
grep -Eq 'asserts +[1-9]' ops.log || { cat ops.log; fail "the op's checks made no assertion"; }
# The checks must be able to fail: a wrong sign in its gradient, and they say so.
make_program
sed -i 's/ \* 2 \* positive)/ * -2 * positive)/' after/src/ops/squared_relu.c
make_checks
if build/tests/test_ops squared_relu > ops.log 2>&1; then fail "a wrong gradient passes the op's checks"; fi
grep -q squared_relu ops.log || { cat ops.log; fail "the message does not name the op"; }

# The model: known by name with its settings, trains, resumes, evaluates, generates.
program=$folder/build/lockstep
export OMP_NUM_THREADS=2
"$program" models > models.txt && grep -q conv_lm models.txt || fail "lockstep models does not list conv_lm"
"$program" models conv_lm > settings.txt && grep -q taps settings.txt || fail "lockstep models conv_lm does not show its settings"
"$program" prepare text "$project/CONTRIBUTING.md" "$project/docs/architecture.md" -o text.h5 --tokenizer bytes --validation 0.1 > log.txt 2>&1 ||
    { cat log.txt; fail "prepare"; }
cat > conv.yaml <<'YAML'
model: {kind: conv_lm, layers: 2, width: 32, context: 32, taps: 4}
data: {path: text.h5}
train: {steps: 20, batch: 4, sequence: 32, learning_rate: 1e-2, warmup: 2, schedule: constant, evaluate_every: 20, evaluate_batches: 2}
output: {path: run, save_every: 10, log_every: 1}
YAML
"$program" train conv.yaml 2> log.txt || { cat log.txt; fail "train"; }
"$program" train conv.yaml train.steps=40 --resume auto 2> log.txt || { cat log.txt; fail "resume"; }
awk -F'"loss":' '{ split($2, part, /[,}]/); loss = part[1] + 0; if (NR == 1) first = loss }
    END { print NR " rows, loss " first " to " loss; exit !(NR == 40 && loss > 0 && loss < first - 1) }' run/metrics.jsonl ||
    fail "the loss should fall by more than 1 in 40 steps"
"$program" eval run > eval.txt 2> log.txt || { cat log.txt; fail "eval"; }
"$program" generate run --prompt "The " --tokens 20 --seed 1 > generated.txt 2> log.txt || { cat log.txt; fail "generate"; }
[ "$(wc -c < generated.txt)" -ge 20 ] || fail "generate printed $(wc -c < generated.txt) bytes"

# The task, the kind of data and the procedure: a perceptron learns the table, with as many updates as the procedure makes of a step.
cat > table.yaml <<'YAML'
model: {kind: mlp, layers: 1, width: 8, activation: tanh}
task: {kind: brier}
data: {kind: truth_table}
train: {procedure: repeated, updates: 4, steps: 100, batch: 4, learning_rate: 0.02, warmup: 10, weight_decay: 0, evaluate_batches: 0}
output: {path: table, save_every: 50}
YAML
"$program" train table.yaml 2> log.txt || { cat log.txt; fail "the table"; }
"$program" eval table > eval.txt 2> log.txt || { cat log.txt; fail "eval of the table"; }
tail -1 table/metrics.jsonl | awk -F'"loss":' '{ split($2, part, /[,}]/); exit !(part[1] + 0 < 0.05) }' || fail "the table was not learnt: $(tail -1 table/metrics.jsonl)"
"$program" train table.yaml train.updates=1 output.path=less 2> log.txt || { cat log.txt; fail "one update a step"; }
paste <(tail -1 table/metrics.jsonl) <(tail -1 less/metrics.jsonl) | awk -F'"loss":' '{ split($2, a, /[,}]/); split($3, b, /[,}]/); exit !(a[1] < b[1]) }' ||
    fail "four updates a step should learn more than one"
