#!/usr/bin/env bash
# Every command's help, versions, names that do not exist, and bad input: exit status and message as a user sees them.
# usage: cli_commands.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# ---- the frame
says 0 'usage: lockstep COMMAND' --help
says 0 'instruction set' --version
for name in lockstep git compiler MPI HDF5 OpenMP; do
    grep -q "^$name  *[^ ]" out.txt || failed "--version says nothing of $name"
done
"$lockstep" > out.txt 2> err.txt && failed "no command: exit 0"
commands=$("$lockstep" --help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<< "$commands")" -ge 2 ] || failed "commands found in --help: $commands"
for command in $commands; do
    says 0 "lockstep $command" "$command" --help
    grep -q '^example:' out.txt || failed "$command --help has no example"
    grep -q -- '--help' out.txt || failed "$command --help does not name --help"
    [ -s err.txt ] && failed "$command --help wrote to stderr: $(head -c 300 err.txt)"
    awk 'length > 120' out.txt | grep -q . && failed "$command --help has lines over 120 columns"
    grep -q ' $' out.txt && failed "$command --help has spaces at line ends"
    [ "$command" = prepare ] || says 2 'no option --no-such-thing' "$command" --no-such-thing
done
says 2 "did you mean 'models'" modles
says 2 "there is no command 'zzzzzz' (lockstep --help" zzzzzz
says 2 "did you mean '--json'" models --jsno
says 2 'too many arguments' models gpt mamba
says 2 "--json: 'maybe' is neither true nor false" models --json=maybe
"$lockstep" models > /dev/full 2> err.txt; code=$?
[ $code = 7 ] && grep -q 'No space left' err.txt || failed "full disk under stdout: exit $code: $(cat err.txt)"
"$lockstep" models >&- 2> err.txt; code=$?
[ $code = 1 ] && grep -q 'standard output' err.txt || failed "closed stdout: exit $code: $(cat err.txt)"
("$lockstep" models gpt 2> err.txt; echo $? > code.txt) | true
[ "$(cat code.txt)" = 141 ] && [ ! -s err.txt ] || failed "closed pipe: exit $(cat code.txt): $(cat err.txt)"
LOCKSTEP_ISA=v9 says 2 'LOCKSTEP_ISA=v9: unknown' --version

# ---- models, ops
says 0 'learning_rate' models gpt
says 2 "did you mean 'gpt'" models gtp
says 0 '"choices": "layer|rms"' models gpt --json
says 0 'layer_norm' ops
says 0 'case 0' ops rms_norm
says 2 "did you mean 'linear'" ops liner
says 2 "there is no model 'gru'; did you mean 'mingru'? (there are: gpt, " models gru
says 2 "there is no op 'entropy'; did you mean 'head_cross_entropy', 'cross_entropy'" ops entropy
for op in $("$lockstep" ops | cut -d' ' -f1); do
    says 0 'case 0' ops "$op"
done
says 0 '"has_gradient": true' ops linear --json

# ---- datasets
says 0 'enwik8' datasets
says 0 'licence' datasets enwik8
says 0 '"bytes": 100000000' datasets enwik8 --json
says 2 "did you mean 'enwik8'" datasets enwik
says 2 "did you mean 'tiny-shakespeare'?" datasets shakespeare
says 2 '--fetch needs a NAME' datasets --fetch
says 2 'datasets: --output changes nothing without --fetch: give both' datasets enwik8 -o here

# ---- configurations: every mistake at once, nothing started
cat > bad.yaml <<'JOB'
model:
  kind: gpt
  layrs: 2
  heads: two
data: {path: text.h5}
train:
  steps: 0
  batch: [1]
output: {path: run}
JOB
says 2 'bad.yaml: 6 mistakes' train bad.yaml train.foo=1 output.keep=no
for text in "line 3: model.layrs: unknown; did you mean 'layers'?" "line 4: model.heads: 'two' is not a whole number" \
    'line 7: train.steps: 0 is out of range: at least 1' 'line 8: train.batch: a list where one value belongs' \
    'command line: train.foo: unknown' "command line: output.keep: 'no' is not a whole number"; do
    grep -qF "$text" err.txt || failed "mistakes: no '$text' in $(cat err.txt)"
done
[ -e run ] && failed 'a run folder was made in spite of the mistakes'
says 2 'bad.yaml: 4 mistakes' bench bad.yaml --synthetic
says 2 'missing.yaml: No such file' train missing.yaml
says 2 'is a folder' train .
: > empty.yaml
says 2 'empty.yaml: is empty' train empty.yaml
printf 'model:\n  kind: gpt\n bad indent\n' > syntax.yaml
says 2 'syntax.yaml: line 3' train syntax.yaml
says 2 'larger than 1 MiB' train "$lockstep"
printf '\x89HDF\r\n' > binary.yaml
says 2 'binary.yaml: invalid leading UTF-8 octet at byte 0: the text must be UTF-8' train binary.yaml
printf 'model: {kind: gpt}\ndata: {path: none.h5}\n' > missing-data.yaml
says 3 'none.h5' train missing-data.yaml
says 2 'data.path is not set' train missing-data.yaml data.path=

# ---- doctor
export XDG_CACHE_HOME=$folder/cache
says 0 'GFLOP/s in float' doctor .
for name in 'instruction set' threads memory 'memory speed' disk fsync HDF5; do
    grep -q "^\(ok\|warn\)  *$name  " out.txt || failed "doctor says nothing of $name: $(cat out.txt)"
done
[ -s cache/lockstep/machine.json ] || failed "the machine's speeds were not kept"
LOCKSTEP_ISA=baseline OMP_NUM_THREADS=1 says 0 'baseline, forced by LOCKSTEP_ISA' doctor
SLURM_STEP_ID=0 SLURM_NTASKS=4 "$lockstep" doctor nowhere > out.txt 2> err.txt; code=$?
[ $code = 1 ] && grep -q '^FAIL  run folder  *nowhere: No such file' out.txt || failed "doctor nowhere: exit $code: $(cat out.txt)"
tr -s ' \n' ' ' < out.txt | grep -q '4 ranks, but MPI started a world of 1' || failed "doctor in a world of one: $(cat out.txt err.txt)"
grep -q '^ *-> ' out.txt || failed "doctor names no cure: $(cat out.txt)"
"$lockstep" doctor --json > out.txt 2> err.txt
grep -q '"verdict": "ok"' out.txt && grep -q '"failures": 0' out.txt || failed "doctor --json: $(cat out.txt err.txt)"

# ---- prepare
printf 'To be, or not to be, that is the question.\n%.0s' {1..50} > text.txt
printf 'caf\xc3\xa9 \xff broken\n' > broken.txt
: > empty.txt
mkdir readonly && chmod a-w readonly
says 0 'vocabulary' prepare text text.txt -o sub/text.h5 --tokenizer characters --validation 0.1
says 0 '"tokenizer": "bytes"' prepare text text.txt text.txt -o bytes.h5 --json
says 2 'the first argument is the kind; there are: text' prepare
says 2 "did you mean 'text'" prepare texts text.txt -o x.h5
says 0 'vocabulary' prepare -o sub/text.h5 text --tokenizer characters text.txt
says 2 'no option --no-such-thing' prepare text --no-such-thing
says 2 '--output FILE.h5 is missing' prepare text text.txt
says 2 "did you mean '--tokenizer'" prepare text text.txt -o x.h5 --tokeniser bytes
says 2 "'word' is none of bytes|characters|gpt2" prepare text text.txt -o x.h5 --tokenizer word
says 2 '--validation: 1.5 is out of range' prepare text text.txt -o x.h5 --validation 1.5
says 2 'is a source and the output at once' prepare text text.txt -o text.txt
says 2 'is a folder' prepare text text.txt -o sub
says 3 'missing.txt' prepare text missing.txt -o x.h5
says 3 'empty' prepare text empty.txt -o x.h5
says 3 'broken.txt' prepare text broken.txt -o x.h5 --tokenizer characters
if [ "$(id -u)" != 0 ]; then # nothing is read-only for root
    says 2 'readonly' prepare text text.txt -o readonly/x.h5
else
    says 2 '/proc/nowhere' prepare text text.txt -o /proc/nowhere/x.h5
fi
ls x.h5* > /dev/null 2>&1 && failed "failed preparations left: $(ls x.h5*)"

# ---- names and habits of other programs
job=(train "$project/jobs/shakespeare-gpt.yaml" --dry-run)
says 2 'train.lr: unknown; write train.learning_rate' "${job[@]}" train.lr=1
says 2 'train.epochs: unknown; write train.steps: an epoch' "${job[@]}" train.epochs=1
says 2 "write train.learning_rate=1" "${job[@]}" learning_rate=1
says 2 "write train.batch, of all ranks" "${job[@]}" batch_size=1
says 2 'it is a setting: data.path' "${job[@]}" --data x.h5
says 2 'lora.r: unknown; write lora.rank' "${job[@]}" lora.r=8
says 2 'write lora.alpha' "${job[@]}" lora_alpha=8
says 2 'lora.target_modules: unknown; write lora.targets' "${job[@]}" 'lora.target_modules=[a]'
says 2 'lora.dropout: unknown; write nothing: adapters have no dropout of their own' "${job[@]}" lora.dropout=0.1
says 2 "data.tokenizer: unknown; write nothing: the tokenizer is chosen when the data set is made, by 'lockstep prepare --tokenizer'" "${job[@]}" data.tokenizer=gpt2
says 2 "bytes.h5: is no job file (YAML); a job names it: lockstep train JOB.yaml data.path=bytes.h5" train bytes.h5
says 2 "write data.path=bytes.h5" "${job[@]}" bytes.h5
says 2 "the first argument is the kind, and then comes text.txt; there are: text" prepare text.txt -o x.h5
says 2 "there is no option --out; here it is --output" prepare text text.txt --out x.h5
says 2 "there is no option --key; here it is --field" prepare text text.txt -o x.h5 --key text
says 2 "no command 'finetune'; lockstep train with train.init does that" finetune
says 2 "no command 'perplexity'; lockstep eval RUN --input FILE does that" perplexity
says 2 'settings are written without dashes: train.steps=VALUE' "${job[@]}" --train.steps=3
says 2 'it is a setting: train.steps=VALUE' "${job[@]}" --steps 3
says 2 'it is a setting: train.learning_rate' "${job[@]}" --lr=3
says 2 '9223372036854775808 is too large' "${job[@]}" train.seed=9223372036854775808
printf 'model:\n\tkind: gpt\n' > tab.yaml
says 2 'line 2: a tab before the name: YAML indents by blanks' train tab.yaml
prepare known.h5 --tokenizer characters
expect 0 'train.warmup (60) is longer than the run (40 steps): the learning rate ends at' "$lockstep" "${job[@]}" data.path=known.h5 train.warmup=60 train.steps=40
expect 0 'train.warmup is as long as the run' "$lockstep" "${job[@]}" data.path=known.h5 train.warmup=40 train.steps=40

# ---- what the shell completes and what man shows come from the same tables as the help texts
says 0 '_lockstep' completion
cp out.txt completion.bash
completes()
{
    local wanted=$1 got
    shift
    got=$(bash -c '. ./completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lockstep; echo "${COMPREPLY[*]}"' bash "$@")
    [ "$got" = "$wanted" ] || failed "'$*' is completed to '$got', not '$wanted'"
}
completes 'prepare predict' lockstep pr
completes 'pairs' lockstep prepare pa
completes '--tokenizer' lockstep prepare text --tok
completes 'bytes' lockstep prepare text --tokenizer b
completes 'train.steps=' lockstep train job.yaml train.st
completes 'text.txt' lockstep inspect text.t
completes 'mingru minlstm' lockstep models min
completes 'rms_norm' lockstep ops rms
completes 'train' lockstep manual tra
completes 'adafactor adamw' lockstep train job.yaml train.optimizer = ad # as the shell breaks words
completes 'constant cosine inverse_sqrt linear step wsd' lockstep train job.yaml train.schedule =
completes 'train.schedule=cosine' lockstep train job.yaml train.schedule=cos
completes 'mamba mamba2' lockstep train job.yaml model.kind = mam
completes 'after before layer post pre rms' lockstep train job.yaml model.norm = # of several models
completes 'false true' lockstep train job.yaml output.csv =
completes 'bytes' lockstep prepare text --tokenizer = b
completes 'text.txt' lockstep train job.yaml data.path = text.t
completes 'lora.rank=' lockstep train job.yaml lora.ra
says 0 '.SH SYNOPSIS' manual train
head -1 out.txt | grep -q '^\.TH LOCKSTEP-TRAIN 1 ' || failed "a page's title in capitals: $(head -1 out.txt)"
grep -qF '.RB [ "mpirun \-np" " N]"' out.txt || failed "manual train: no mpirun in the synopsis: $(cat out.txt)"
says 0 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 doctor --help
says 0 '.SH SYNOPSIS' manual models
grep -q mpirun out.txt && failed "manual models: mpirun in the synopsis"
says 2 "no command 'trian'; did you mean 'train'?" manual trian
expect 0 '' "$lockstep" manual --folder pages
for name in $("$lockstep" --help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    [ -s "pages/lockstep-$name.1" ] || failed "there is no page of lockstep $name"
    kinds= # of prepare, each with options of its own
    [ "$name" != prepare ] || kinds=$("$lockstep" prepare --help | sed -n '/^kinds/,/^$/s/^  \([a-z_][a-z_]*\)  *.*/\1/p')
    for option in $(for kind in '' $kinds; do "$lockstep" "$name" $kind --help; done | sort -u | grep -o '^  \(-., \)\?--[a-z-]*' | grep -o -- '--.*'); do
        grep -qF -- "${option//-/\\-}" "pages/lockstep-$name.1" || failed "the page of lockstep $name lacks $option"
    done
done
# every variable that the program reads is on a page, but for those of tests (docs/architecture.md) and of launchers
for variable in $(grep -rhoE 'getenv\("(LOCKSTEP_[A-Z_]+|OMP_[A-Z_]+|NO_COLOR)"\)' "$project/src" | grep -oE '[A-Z_]{3,}' | sort -u); do
    case $variable in LOCKSTEP_FAULT | LOCKSTEP_SYSTEM | LOCKSTEP_NODE_RANKS | OMP_PLACES | OMP_PROC_BIND) continue ;; esac
    grep -qx "\.B $variable" pages/lockstep.1 || failed "no page tells of $variable"
    grep -q "\`$variable\`" "$project/docs/cluster.md" || failed "docs/cluster.md does not tell of $variable"
done
grep -hoE '^\.[A-Za-z]+' pages/*.1 | sort -u | grep -vxE '\.(TH|SH|SS|TP|B|BR|RB|EX|EE)' && failed "a page has a request that it should not have"

finish
