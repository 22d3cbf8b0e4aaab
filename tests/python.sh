#!/usr/bin/env bash
# The Python package: installed by pip from the clone into an environment of its own, without a network; then tests/python_api.py, which
# compares what it gives with what the program gives.
# usage: python.sh PROGRAM LIBRARY PYTHON
library=$(realpath "$2") python=$3
. "$(dirname "$0")/cli.inc"
export PYTHONDONTWRITEBYTECODE=1 PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
unset PYTHONPATH

cp "$project/docs/architecture.md" text.txt
prepare text.h5 --tokenizer characters --validation 0.1
cat > job.yaml << 'YAML'
model: {kind: gpt, layers: 2, width: 32, heads: 2, context: 32, dropout: 0.1}
data: {path: text.h5}
train: {steps: 12, batch: 4, evaluate_every: 5, evaluate_batches: 3, seed: 3, warmup: 2}
output: {path: run, save_every: 6, log_every: 1}
YAML
expect 0 '' "$lockstep" train job.yaml --progress none

expect 0 '' "$python" -m venv --system-site-packages --without-pip environment
run_for 0 env LOCKSTEP_LIBRARY="$library" "$python" -m pip --python environment/bin/python install -q "$project/python"
git -C "$project" status --porcelain --ignored python 2>/dev/null | grep -q . && failed "installing leaves files in the clone: $(git -C "$project" status --porcelain --ignored python)"
run_for 0 environment/bin/python "$project/tests/python_api.py" "$lockstep"
cat out.txt err.txt
grep -Eq '^Ran [1-9][0-9] tests' err.txt || failed "not all tests of the package ran"
grep -q skipped err.txt && failed "tests were skipped"

# Two processes train together: the rows of one, to rounding.
cat > ranks.py << 'PYTHON'
import numpy, lockstep
with lockstep.Trainer("job.yaml") as trainer:
    losses = [trainer.step()["loss"] for _ in range(4)]
    trainer.save("ranks.h5")
    if trainer.rank == 0:
        assert trainer.ranks == 2
        numpy.testing.assert_allclose(losses, lockstep.metrics("run")["loss"][:4], rtol=1e-5)
        print("the same")
    limit = losses[-1] + 1
    for row in trainer:  # rows are those of all processes, and so is what they decide
        if row.get("validation_loss", limit) < limit:
            trainer.stop()
    assert trainer.steps == 5, trainer.steps
    last = trainer.run(lambda trainer, row: row["step"] < 8)
    print(f"{trainer.rank}: {last['step']}")
PYTHON
run_for 0 $mpirun -np 2 environment/bin/python ranks.py
grep -q 'the same' out.txt || failed "rank 0 said: $(cat out.txt)"
grep -q '0: 8' out.txt && grep -q '1: 8' out.txt || failed "the processes stop apart: $(cat out.txt)"
says 0 'checkpoint' inspect ranks.h5

# An exception in one process ends the others, which wait for it in a step.
cat > fails.py << 'PYTHON'
import lockstep
with lockstep.Trainer("job.yaml") as trainer:
    for row in trainer:
        if row["step"] == 3 and trainer.rank == 1:
            raise RuntimeError("of one process")
PYTHON
timeout 60 $mpirun -np 2 environment/bin/python fails.py > out.txt 2> err.txt
code=$?
[ $code = 1 ] && grep -q 'RuntimeError: of one process' err.txt || failed "an exception in one process: $code: $(cat err.txt)"

# A process that calls what the others do not: neither waits for the other.
calls() { # THIS THAT BODY...: of what each process does behind a step; the launcher may end one of them before it has said so
    printf 'import sys, lockstep\nwith lockstep.Trainer("job.yaml") as trainer:\n    trainer.step()\n' > calls.py
    printf '    %s\n' "${@:3}" >> calls.py
    timeout 60 $mpirun -np 2 environment/bin/python calls.py > out.txt 2> err.txt
    local code=$?
    [ $code = 1 ] && grep -qE "UsageError: rank [01] has called ($1, and another rank $2|$2, and another rank $1):" err.txt ||
        failed "${*:3}: $code: $(cat err.txt)"
}
calls save 'a step' 'if trainer.rank == 0: trainer.save("one.h5")' 'trainer.step()'
[ ! -e one.h5 ] || failed "saved by one process of two"
calls close 'a step' 'if trainer.rank == 1: sys.exit(0)' 'trainer.step()'
calls evaluate 'a step' 'trainer.evaluate() if trainer.rank == 0 else trainer.run()'
calls close save 'if trainer.rank == 0: trainer.save("one.h5")'

# A script on standard input: one process alone has it, and must not wait for the others.
$mpirun -np 2 environment/bin/python - < ranks.py > out.txt 2> err.txt && failed "a script on standard input was run"
grep -q 'LaunchError: the script is read from standard input, which one of the 2 processes alone has' err.txt ||
    failed "a script on standard input: $(cat err.txt)"
finish
