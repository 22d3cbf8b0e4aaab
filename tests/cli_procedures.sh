#!/usr/bin/env bash
# Training procedures as a user runs them: two players and an agent, killed and gone on with to the bit; what eval says of them; mistakes.
# usage: cli_procedures.sh PROGRAM
. "$(dirname "$0")/cli.inc"

# killed JOB: a run that is killed after its first checkpoint and started again ends as one that was not
killed()
{
    local job=$1 pid
    expect 0 '' "$lockstep" train "$job" output.path=runs/straight
    "$lockstep" train "$job" output.path=runs/killed > /dev/null 2>&1 &
    pid=$!
    for _ in $(seq 3000); do
        compgen -G 'runs/killed/checkpoints/step-*.h5' > /dev/null && break
        kill -0 $pid 2> /dev/null || break
        sleep 0.02
    done
    kill -KILL $pid 2> /dev/null
    wait $pid 2> /dev/null
    compgen -G 'runs/killed/checkpoints/step-*.h5' > /dev/null || failed "$job: no checkpoint before the kill"
    expect 0 '' "$lockstep" train "$job" output.path=runs/killed
    says 0 'equal' diff runs/straight runs/killed
    [ ! -d runs/straight/pictures ] || diff -r runs/straight/pictures runs/killed/pictures || failed "$job: other pictures after a kill"
    expect 0 '' $mpirun -np 2 "$lockstep" train "$job" output.path=runs/ranks train.steps=20
    "$lockstep" eval runs/straight --json > eval.json 2> err.txt || failed "eval: $(cat err.txt)"
    rm -rf runs/killed runs/ranks
}

cat > rings.yaml <<'JOB'
model: {kind: gan_mlp, layers: 2, width: 32, noise: 4}
task: {kind: generation}
data: {kind: generated}
train: {steps: 400, batch: 64, warmup: 0, learning_rate: 1e-3, discriminator_repeats: 2, evaluate_every: 40}
output: {save_every: 20, keep: 2}
JOB
killed rings.yaml
grep -q '"discriminator_loss": .*"generator_loss": ' runs/straight/metrics.jsonl || failed "no losses of the players in metrics.jsonl"
grep -q '"loss"' eval.json || failed "eval of two players: $(cat eval.json)"
rm -rf runs

cat > pole.yaml <<'JOB'
model: {kind: q_network, layers: 1, width: 16}
task: {kind: control}
data: {kind: environment, environment: cartpole}
train: {steps: 2000, batch: 32, warmup: 0, learning_rate: 1e-3, replay: 500, replay_start: 100, epsilon_steps: 100, n_step: 3, target_every: 5, target_rate: 0.2, evaluate_every: 100}
output: {save_every: 20, keep: 2}
JOB
killed pole.yaml
grep -q '"mean_return"' eval.json || failed "eval of an agent: $(cat eval.json)"
grep -q '"validation_mean_return"' runs/straight/metrics.jsonl || failed "no mean return in metrics.jsonl"
rm -rf runs

# An error counts no more than error_clip: no squared error above its square, and more than that where none is set.
largest_loss() { sed 's/.*"loss": \([-0-9.e+]*\).*/\1/' "$1/metrics.jsonl" | sort -g | tail -n 1; }
for clip in 0 0.01; do
    "$lockstep" train pole.yaml train.steps=200 train.error_clip=$clip output.path=runs/clip-$clip output.log_every=1 2> err.txt ||
        failed "error_clip $clip: $(cat err.txt)"
done
awk -v free="$(largest_loss runs/clip-0)" -v clipped="$(largest_loss runs/clip-0.01)" \
    'BEGIN { exit !(free > 0.01 && clipped > 0 && clipped <= 1.0001e-4) }' ||
    failed "the largest loss: $(largest_loss runs/clip-0) without error_clip, $(largest_loss runs/clip-0.01) with 0.01"
rm -rf runs

"$lockstep" train pole.yaml --dry-run > plan.txt 2> err.txt || failed "a plan: $(cat err.txt)"
"$lockstep" train pole.yaml --dry-run train.replay=1000000 > larger.txt 2> err.txt || failed "a plan: $(cat err.txt)"
grep -q 'procedure  *[0-9.]* KiB' plan.txt || failed "a replay memory of 500 moves: $(cat plan.txt)"
grep -q 'procedure  *42\.0 MiB' larger.txt || failed "a million moves of 11 numbers: $(cat larger.txt)"

# ---- pictures made by convolutions, drawn while they are learned and afterwards
{ printf '\0\0\10\3\0\0\0\60\0\0\0\10\0\0\0\10'; awk 'BEGIN {for (i = 0; i < 48 * 64; i++) printf "%c", 33 + i * 7 % 90}'; } > images-idx3-ubyte
{ printf '\0\0\10\1\0\0\0\60'; awk 'BEGIN {for (i = 0; i < 48; i++) printf "%c", 1 + i % 2}'; } > labels-idx1-ubyte
expect 0 '' "$lockstep" prepare images images-idx3-ubyte labels-idx1-ubyte --classes a,b,c -o images.h5 --validation 8
cat > clothes.yaml <<'JOB'
model: {kind: dcgan, stages: 2, width: 4, noise: 6}
task: {kind: generation}
data: {kind: images, path: images.h5, scaling: symmetric}
train: {steps: 120, batch: 16, warmup: 0, learning_rate: 2e-4, beta1: 0.5, pictures_every: 40, evaluate_every: 60}
output: {save_every: 20, keep: 2}
JOB
killed clothes.yaml
[ "$(ls runs/straight/pictures)" = $'step-00000040.png\nstep-00000080.png\nstep-00000120.png' ] || failed "pictures: $(ls runs/straight/pictures)"
! cmp -s runs/straight/pictures/step-00000040.png runs/straight/pictures/step-00000120.png || failed "nothing was learned in 80 steps"
expect 0 '' "$lockstep" predict runs/straight -o grid.png # of the noise of seed 1, as the run's
cmp grid.png runs/straight/pictures/step-00000120.png || failed "predict draws something else than the training"
# 8 x 8 pictures of 8 x 8 with 2 between them: 82 x 82, grey, as the header of the PNG says
[ "$(head -c 26 grid.png | tail -c 10 | od -An -tu1 | tr -s ' ')" = ' 0 0 0 82 0 0 0 82 8 0' ] || failed "no PNG of 82 x 82: $(head -c 26 grid.png | od -An -tu1)"
expect 0 '' "$lockstep" predict runs/straight --samples 3 --seed 2 -o three.h5
says 2 'leave --input' predict runs/straight --input images.h5 -o three.h5
says 2 'cannot be halved 4 times' train clothes.yaml model.stages=4 output.path=runs/none
says 2 'no pictures of 1 or 3 channels' train rings.yaml train.pictures_every=10 output.path=runs/none
rm -rf runs

# ---- mistakes
says 2 'procedure supervised has no such setting (those that have: adversarial)' train rings.yaml train.procedure=supervised
says 2 'there is no procedure' train rings.yaml train.procedure=adversary
says 2 'whole samples' train rings.yaml train.carry=true
says 0 'adversarial' models gan_mlp
says 2 'the first argument is the kind' prepare generated x.csv -o x.h5 # it has no files
finish
