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
train: {steps: 2000, batch: 32, warmup: 0, learning_rate: 1e-3, replay: 500, replay_start: 100, epsilon_steps: 100, target_every: 50, evaluate_every: 100}
output: {save_every: 20, keep: 2}
JOB
killed pole.yaml
grep -q '"mean_return"' eval.json || failed "eval of an agent: $(cat eval.json)"
grep -q '"validation_mean_return"' runs/straight/metrics.jsonl || failed "no mean return in metrics.jsonl"
rm -rf runs

# ---- mistakes
says 2 'train.discriminator_repeats: unknown' train rings.yaml train.procedure=supervised
says 2 'there is no procedure' train rings.yaml train.procedure=adversary
says 2 'whole samples' train rings.yaml train.carry=true
says 0 'adversarial' models gan_mlp
says 2 'the first argument is the kind' prepare generated x.csv -o x.h5 # it has no files
finish
