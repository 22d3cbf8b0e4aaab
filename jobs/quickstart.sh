#!/usr/bin/env bash
# From a fresh clone to two trained models: installs what is missing, builds, fetches enwik8, and trains a GPT and a Mamba on its
# bytes over two MPI ranks with OpenMP kernels; stops each with a signal, resumes it, evaluates it and lets it write.
#
#     jobs/quickstart.sh           about ten minutes on two cores at first; again: what is done is not done again
#
# Every command is printed before it runs. Everything made stays in this folder: build-release/, data/, runs/.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==== %s (%d s)\n' "$*" "$SECONDS"; }
run()
{
    printf '+ %s\n' "$*"
    "$@"
}
cores=$(nproc)

step "1/6 Debian packages"
run cmake/packages.sh python3 python3-pip # Python only to fetch the data

step "2/6 build"
options=()
command -v ccache >/dev/null && options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
[ -e build-release/CMakeCache.txt ] || run cmake --preset release -DLOCKSTEP_TESTS=OFF "${options[@]}"
run cmake --build build-release -j "$cores"
lockstep=build-release/lockstep
run $lockstep --version

step "3/6 data"
run bash datasets/enwik8.sh
[ -e data/enwik8.h5 ] || run $lockstep prepare text data/enwik8 -o data/enwik8.h5 --tokenizer bytes --validation 0.1

# Two ranks that share the cores: each gets half of them, bound where the machine allows it. The flags for root and for
# machines with fewer than two free cores are added only there.
threads=$((cores > 1 ? cores / 2 : 1))
export OMP_NUM_THREADS=$threads OMP_PROC_BIND=close OMP_PLACES=cores
launch=(mpirun -np 2)
[ "$(id -u)" -eq 0 ] && launch+=(--allow-run-as-root)
if "${launch[@]}" --map-by "slot:PE=$threads" --bind-to core true 2>/dev/null; then
    launch+=(--map-by "slot:PE=$threads" --bind-to core)
elif "${launch[@]}" --bind-to none true 2>/dev/null; then
    launch+=(--bind-to none)
else
    launch+=(--oversubscribe --bind-to none)
fi

# A tenth of the job files' work: sizes and steps that two cores finish in a minute or two.
small=(model.layers=4 model.width=256 model.context=128 train.sequence=128 train.batch=16 train.steps=300 train.warmup=30
    train.evaluate_every=100 train.evaluate_batches=20 output.save_every=100 output.log_every=10)
stop_at=60

# Waits until the run's metrics have a row of step stop_at, then asks the program to save and stop.
stop_when_under_way()
{
    local metrics=$1/metrics.jsonl launcher=$2
    until [ -e "$metrics" ] && awk -F'[:,]' -v at=$stop_at '/"step"/ { if ($2 + 0 >= at) found = 1 } END { exit !found }' "$metrics"; do
        kill -0 "$launcher" 2>/dev/null || return 0
        sleep 0.2
    done
    echo "+ kill -USR1 $launcher        # as a batch system does before its time limit"
    kill -USR1 "$launcher"
}

train()
{
    local kind=$1 code=0
    shift
    local folder=runs/quickstart-$kind
    local command=("${launch[@]}" $lockstep train "jobs/enwik8-$kind.yaml" "${small[@]}" "output.path=$folder" "$@")
    if [ "$(cat "$folder/status" 2>/dev/null)" = done ]; then
        echo "$folder is trained already (remove the folder to train it again)"
        return
    fi
    if ! ls "$folder"/checkpoints/step-*.h5 >/dev/null 2>&1; then
        printf '+ %s &\n' "${command[*]}"
        "${command[@]}" &
        stop_when_under_way "$folder" $!
        wait $! || code=$?
        echo "exit status $code, run status '$(cat "$folder/status")'"
        [ "$code" -eq 75 ] || { echo "quickstart: expected exit status 75 after the signal" >&2; exit 1; }
        echo "and on from the checkpoint:"
    fi
    run "${command[@]}"
}

step "4/6 GPT: train, stop on a signal, resume"
train gpt model.heads=4
step "5/6 Mamba: train, stop on a signal, resume"
train mamba

step "6/6 evaluate and generate"
export OMP_NUM_THREADS=$cores
unset OMP_PROC_BIND OMP_PLACES
for kind in gpt mamba; do
    run $lockstep inspect "runs/quickstart-$kind"
    run $lockstep eval "runs/quickstart-$kind" --batches 50
    run $lockstep generate "runs/quickstart-$kind" --prompt "The history of " --tokens 100 --temperature 0.8 --top-k 40 --seed 1
    echo
done
printf '\nDone after %d s. Next: lockstep models, lockstep train jobs/shakespeare-gpt.yaml, README.md\n' "$SECONDS"
